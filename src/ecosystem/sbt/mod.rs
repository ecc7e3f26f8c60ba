//! sbt: `*.sbt` and the Scala files of `project/`, by "Library dependencies" of sbt's manual.
//!
//! Input: build definitions. Output: each `group % artifact % version` anywhere in them, with its
//! configuration. Invariants: nothing is run; exclusions and overrides require nothing, so they are not
//! packages.
//!
//! Decisions. `%%` appends the Scala version to the artifact's name. It is appended if the file states the
//! version (`scalaVersion := "2.13.14"`), and otherwise omitted, as for `%%%`, which appends the platform too.
//! Plugins of sbt have the scope build, and so do the dependencies of the build itself (`project/*.sbt`);
//! `Provided` is build, as in Maven.

mod modules;

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    script::{self, Constants, Dialect, Tokens},
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use modules::{Cross, Module};

/// Reads `*.sbt`, and `*.scala` in `project/`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SbtBuild;

impl Parser for SbtBuild {
    fn name(&self) -> &'static str {
        "sbt"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".sbt") || (path.ends_with(".scala") && is_in_project(path))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = text::decode(file.bytes);
        let tokens = script::tokens(&text, Dialect::Scala);
        let mut constants = Constants::of(&tokens);
        let scala = scala_version(&tokens, &constants);
        // The values of sbt's own keys.
        constants.define("scalaOrganization.value", "org.scala-lang");
        if let Some(scala) = &scala {
            constants.define("scalaVersion.value", scala);
        }
        let of_build = file.path.ends_with(".sbt") && is_in_project(file.path);
        let modules = modules::read(&tokens, of_build, &mut found);
        let scala = scala.as_deref();
        let mut writer = Writer { tokens: &tokens, constants: &constants, scala, found };
        for module in &modules {
            writer.add(module);
        }
        tokens.warn(&mut writer.found);
        writer.found.finish()
    }
}

fn is_in_project(path: &str) -> bool {
    path.rsplit('/').nth(1) == Some("project")
}

/// `scalaVersion := "2.13.14"`.
fn scala_version(tokens: &Tokens<'_>, constants: &Constants) -> Option<String> {
    (0..tokens.len()).find_map(|at| {
        let sets = tokens.word(at) == Some("scalaVersion")
            && tokens.is_mark(at + 1, ':')
            && tokens.is_mark(at + 2, '=');
        let value = sets.then(|| script::value(tokens, tokens.skip_lines(at + 3)))??;
        constants.expand(&value.0).ok()
    })
}

struct Writer<'t, 'a, 'f> {
    tokens: &'t Tokens<'a>,
    constants: &'t Constants,
    scala: Option<&'t str>,
    found: Collector<'f>,
}

impl Writer<'_, '_, '_> {
    fn add(&mut self, module: &Module) {
        let line = self.tokens.line(module.at);
        let expand = |name: &str| self.constants.expand(name);
        let (group, artifact) = match (expand(&module.group), expand(&module.artifact)) {
            (Ok(group), Ok(artifact)) => (group, artifact),
            (Err(unknown), _) | (_, Err(unknown)) => {
                let unknown = text::excerpt(&unknown);
                let message = format!("`{unknown}` has no single value in this file");
                return self.found.warn(line, message);
            }
        };
        let mut name = format!("{group}:{artifact}");
        if let Some(scala) = self.scala.filter(|_| module.cross == Cross::Scala) {
            name.push('_');
            name.push_str(if module.is_full { scala } else { binary(scala) });
        }
        let version = expand(&module.version);
        if let Err(unknown) = &version {
            let (name, unknown) = (text::excerpt(&name), text::excerpt(unknown));
            let message = format!("`{name}`: `{unknown}` has no single value in this file");
            self.found.warn(line, message);
        }
        let range = |text: &str| text.contains(['[', '(', ',', '+']) || text.starts_with("latest.");
        let exact = version.as_deref().ok().filter(|text| !range(text));
        let specifier =
            exact.is_none().then(|| version.as_deref().unwrap_or(module.version.as_ref()));
        let scope = module.scope.unwrap_or_else(|| scope_of(module.configuration.as_deref()));
        self.found.add(Declared {
            name: &name,
            version: exact,
            specifier,
            line,
            direct: Some(true),
            scope: Some(scope),
        });
    }
}

/// The part of a Scala version that libraries are compiled for: `2.13`, `3`.
fn binary(version: &str) -> &str {
    let parts = if version.starts_with("2.") { 2 } else { 1 };
    let end = version.match_indices('.').nth(parts - 1).map(|(at, _)| at);
    version.get(..end.unwrap_or(version.len())).unwrap_or(version)
}

/// The scope of a configuration: `Test`, `"test"`, `"test->test;compile->compile"`. Of several, the strongest.
fn scope_of(configuration: Option<&str>) -> Scope {
    let Some(configuration) = configuration else { return Scope::Runtime };
    let text = configuration.trim_start_matches("${").trim_end_matches('}').to_ascii_lowercase();
    let scope = |part: &str| match part.split("->").next().unwrap_or(part).trim() {
        "test" | "it" | "integrationtest" => Scope::Test,
        "provided" | "plugin" | "scala-tool" => Scope::Build,
        "optional" => Scope::Optional,
        _ => Scope::Runtime,
    };
    let scopes: Vec<_> = text.split([';', ',']).map(scope).collect();
    [Scope::Runtime, Scope::Build, Scope::Optional]
        .into_iter()
        .find(|scope| scopes.contains(scope))
        .unwrap_or(Scope::Test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbt_files_are_wanted() {
        for path in ["build.sbt", "a/core.sbt", "project/plugins.sbt", "project/Dependencies.scala"]
        {
            assert!(SbtBuild.wants(path), "{path}");
        }
        for path in ["Main.scala", "project/src/Main.scala", "project/build.properties"] {
            assert!(!SbtBuild.wants(path), "{path}");
        }
    }

    #[test]
    fn binary_versions() {
        for (version, expected) in
            [("2.13.14", "2.13"), ("2.12", "2.12"), ("3.3.1", "3"), ("3", "3")]
        {
            assert_eq!(binary(version), expected);
        }
    }

    #[test]
    fn dependencies_of_the_build_have_the_scope_build() {
        let bytes = b"libraryDependencies += \"g\" % \"a\" % \"1\"";
        let file = SourceFile::alone("project/deps.sbt", bytes);
        assert_eq!(SbtBuild.parse(file).packages[0].scope, Some(Scope::Build));
    }

    #[test]
    fn configurations_determine_the_scope() {
        for (configuration, expected) in [
            ("${Test}", Scope::Test),
            ("it,test", Scope::Test),
            ("test->test;compile->compile", Scope::Runtime),
            ("provided", Scope::Build),
            ("${Optional}", Scope::Optional),
            ("${Runtime}", Scope::Runtime),
        ] {
            assert_eq!(scope_of(Some(configuration)), expected, "{configuration}");
        }
    }
}
