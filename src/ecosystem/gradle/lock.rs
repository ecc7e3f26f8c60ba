//! `gradle.lockfile`, `buildscript-gradle.lockfile` and `settings-gradle.lockfile`, by "Locking Versions"
//! of Gradle's manual, files with such names (a build may set `lockFile`), and the files of `gradle/dependency-locks` of Gradle before 7.
//!
//! Input: a line for each module, with the configurations that resolved it. Output: each module, with the
//! strongest scope of its configurations. Invariants: a lock file does not state what is direct; `empty=`
//! lists configurations without modules.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    gradle::configuration,
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads Gradle lock files.
#[derive(Debug)]
pub(in crate::ecosystem) struct GradleLock;

impl Parser for GradleLock {
    fn name(&self) -> &'static str {
        "gradle-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        matches!(
            file,
            "gradle.lockfile" | "buildscript-gradle.lockfile" | "settings-gradle.lockfile"
        ) || (file.ends_with(".lockfile")
            && (file.contains("gradle") || is_of_one_configuration(path)))
    }

    /// A build may declare a module in a catalog or in another project, so a module that the manifests
    /// beside the lock file do not name may still be direct.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing { names_all_direct: false, ..Pairing::of(path) }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Lockfile);
        let text = text::decode(file.bytes);
        // The name of an old lock file is the name of its configuration.
        let of_file = is_of_one_configuration(file.path)
            .then(|| file.file_name().trim_end_matches(".lockfile"));
        let mut understood = false;
        for (line, content) in (1_u32..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (module, configurations) = match content.split_once('=') {
                Some((module, configurations)) => (module.trim(), configurations),
                None => (content, of_file.unwrap_or_default()),
            };
            if module == "empty" {
                understood = true;
                continue;
            }
            let Some((name, version)) =
                module.rsplit_once(':').filter(|parts| parts.0.contains(':'))
            else {
                let message =
                    format!("`{}`: expected group, artifact and version", text::excerpt(content));
                found.warn(line, message);
                continue;
            };
            understood = true;
            let scope = configurations.split(',').map(scope).fold(None, Scope::stronger);
            let version = Some(version);
            found.add(Declared { name, version, line, scope, ..Declared::default() });
        }
        if !understood && found.has_warnings() { found.unreadable() } else { found.finish() }
    }
}

fn is_of_one_configuration(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some("dependency-locks")
}

/// The scope of a resolved (not declared) configuration: `testRuntimeClasspath`.
pub(super) fn scope(configuration: &str) -> Option<Scope> {
    let name = configuration.trim();
    let lower = name.to_ascii_lowercase();
    match lower.strip_suffix("classpath") {
        Some("") => Some(Scope::Build),
        Some(source_set) if source_set.contains("test") => Some(Scope::Test),
        Some(source_set) if source_set.ends_with("compile") || source_set.ends_with("runtime") => {
            Some(Scope::Runtime)
        }
        _ => configuration::scope(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradle_locks_are_wanted() {
        for path in [
            "gradle.lockfile",
            "a/buildscript-gradle.lockfile",
            "settings-gradle.lockfile",
            "gradle/dependency-locks/compileClasspath.lockfile",
            "locks/gradle-debug.lockfile",
        ] {
            assert!(GradleLock.wants(path), "{path}");
        }
        assert!(!GradleLock.wants("other.lockfile"));
    }

    #[test]
    fn configurations_determine_the_scope() {
        for (name, expected) in [
            ("runtimeClasspath", Some(Scope::Runtime)),
            ("releaseCompileClasspath", Some(Scope::Runtime)),
            ("testRuntimeClasspath", Some(Scope::Test)),
            ("classpath", Some(Scope::Build)),
            ("annotationProcessor", Some(Scope::Build)),
            ("checkstyle", None),
        ] {
            assert_eq!(scope(name), expected, "{name}");
        }
    }
}
