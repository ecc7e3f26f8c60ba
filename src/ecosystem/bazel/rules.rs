//! The well-known rules and extensions of Bazel that fetch packages.
//!
//! Input: a call. Output: the archives that `http_archive` and others fetch, repositories (`git_repository`), Maven
//! artifacts (`maven_install` and the `maven` extension of `rules_jvm_external`), Go modules (`go_repository` and the
//! `go_deps` extension of Gazelle), crates (the `crate` extension of `rules_rust`), and images (`oci_pull` and the
//! `oci` extension of `rules_oci`, `container_pull` of `rules_docker`).
//!
//! Decisions: an archive that no forge made is a generic package with its address (`download_url`, by the purl
//! specification). Its name and version are those in the name of the file, `zlib-1.3.1.tar.gz`; where the file has
//! no name, that of the rule. Invariants: a call whose arguments are not literals gives nothing.

use super::starlark::{Arguments, Call, Program};
use crate::ecosystem::{
    collect::{Collector, Declared},
    git_reference,
    git_source::GitSource,
    image::Images,
    purl::{self, Parts},
    text, version,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};

/// The rules, and the tags of extensions.
const KNOWN: [&str; 14] = [
    "http_archive",
    "http_jar",
    "git_repository",
    "new_git_repository",
    "maven_install",
    "install",
    "artifact",
    "jvm_maven_import_external",
    "go_repository",
    "module",
    "spec",
    "oci_pull",
    "pull",
    "container_pull",
];

/// Whether a function may be one of these.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Adds what a call fetches.
pub(super) fn read(
    program: &Program<'_, '_>,
    call: &Call<'_>,
    scope: Scope,
    found: &mut Collector<'_>,
) {
    let arguments = &call.arguments;
    let text = |name: &str| program.text(arguments.get(name)?);
    let (line, direct, scope_of) = (call.line, Some(true), Some(scope));
    let base = Declared { line, direct, scope: scope_of, ..Declared::default() };
    match (call.of, call.name) {
        (None, "http_archive" | "http_jar") => archive(program, arguments, base, found),
        (None, "git_repository" | "new_git_repository") => {
            let source = text("remote").and_then(|remote| GitSource::of(&remote));
            let wanted = text("commit").or_else(|| text("tag"));
            let (version, specifier) =
                wanted.as_deref().map(git_reference::split).unwrap_or_default();
            let branch = text("branch");
            let specifier = specifier.or(branch.as_deref().filter(|_| version.is_none()));
            if let Some(source) = source {
                let _ = source.add(Declared { version, specifier, ..base }, found);
            }
        }
        (None, "maven_install") | (Some(_), "install") => {
            for list in ["artifacts", "boms"] {
                let texts = arguments.get(list).map(|at| program.texts(at)).unwrap_or_default();
                for (coordinates, line) in texts {
                    maven(&coordinates, Declared { line, ..base }, found);
                }
            }
        }
        (_, "artifact") => {
            let parts = [text("group"), text("artifact"), text("version")];
            if let [Some(group), Some(artifact), version] = parts {
                let coordinates = match version {
                    Some(version) => format!("{group}:{artifact}:{version}"),
                    None => format!("{group}:{artifact}"),
                };
                maven(&coordinates, base, found);
            }
        }
        (None, "jvm_maven_import_external") => {
            if let Some(coordinates) = text("artifact") {
                maven(&coordinates, base, found);
            }
        }
        (None, "go_repository") | (Some(_), "module") => {
            let name = text("importpath").or_else(|| text("path"));
            let version = text("version").or_else(|| text("commit")).or_else(|| text("tag"));
            if let Some(name) = name {
                let version = version.as_deref();
                found.add_of(Ecosystem::Golang, Declared { name: &name, version, ..base });
            }
        }
        (Some(_), "spec") => crate_spec(program, arguments, base, found),
        (None, "oci_pull" | "container_pull") | (Some(_), "pull") => {
            image(program, arguments, line, scope, found);
        }
        _ => {}
    }
}

/// The strings of `url` and `urls`, with their lines.
pub(super) fn urls(program: &Program<'_, '_>, arguments: &Arguments<'_>) -> Vec<(String, u32)> {
    let mut urls = Vec::new();
    for name in ["url", "urls"] {
        let Some(at) = arguments.get(name) else { continue };
        urls.extend(program.text(at).map(|url| (url, program.tokens.line(at))));
        urls.extend(program.texts(at));
    }
    urls
}

fn archive(
    program: &Program<'_, '_>,
    arguments: &Arguments<'_>,
    declared: Declared<'_>,
    found: &mut Collector<'_>,
) {
    let urls = urls(program, arguments);
    let archive = urls.iter().find_map(|(url, _)| GitSource::of_archive(url));
    if let Some((source, reference)) = archive {
        let (version, specifier) = git_reference::split(reference);
        let _ = source.add(Declared { version, specifier, ..declared }, found);
        return;
    }
    // Mirrors come first, and have the address of the origin in their path.
    let is_origin =
        |url: &&str| !url.contains("://mirror.") && !url.contains("storage.googleapis.com/");
    let mut remote = urls.iter().map(|(url, _)| url.as_str()).filter(|url| url.starts_with("http"));
    let Some(url) = remote.clone().find(is_origin).or_else(|| remote.next()) else { return };
    let rule = arguments.get("name").and_then(|at| program.text(at));
    let (name, version) = name_and_version(url);
    let Some(name) = name.or(rule.as_deref()) else { return };
    let declared = Declared { name, version, ..declared };
    let added = found.take_as(Ecosystem::Generic.into(), declared, |version| {
        let qualifiers = &[("download_url", url)];
        purl::write("generic", Parts { name, version, qualifiers, ..Parts::default() })
    });
    let digest = arguments.get("sha256").and_then(|at| program.text(at));
    found.hash(added, digest.as_deref().unwrap_or_default());
}

/// The name and the version in an address: `https://zlib.net/zlib-1.3.1.tar.gz`, `https://h.example/kite/v1.0.zip`.
fn name_and_version(url: &str) -> (Option<&str>, Option<&str>) {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = ARCHIVES.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(file);
    let is_version = |text: &str| {
        let digits = text.strip_prefix('v').unwrap_or(text);
        digits.starts_with(|character: char| character.is_ascii_digit()) && digits.contains('.')
    };
    if is_version(stem) {
        return (None, Some(stem));
    }
    let splits = stem.match_indices(['-', '_']).map(|(at, _)| (stem.get(..at), stem.get(at + 1..)));
    let mut parts = splits.filter_map(|(name, version)| Some((name?, version?)));
    if let Some((name, version)) =
        parts.find(|(name, version)| !name.is_empty() && is_version(version))
    {
        return (Some(name), Some(version));
    }
    // The version may be the folder.
    let folder = folders.rsplit('/').next().filter(|folder| is_version(folder));
    (Some(stem).filter(|stem| !stem.is_empty()), folder)
}

/// The extensions of archives.
const ARCHIVES: [&str; 12] = [
    ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".txz", ".tbz2", ".tar", ".zip", ".jar",
    ".aar", ".gz",
];

/// `group:artifact`, `group:artifact:version`, `group:artifact:packaging:version` or
/// `group:artifact:packaging:classifier:version`.
fn maven(coordinates: &str, declared: Declared<'_>, found: &mut Collector<'_>) {
    let parts: Vec<&str> = coordinates.split(':').map(str::trim).collect();
    let (group, artifact, version) = match parts.as_slice() {
        [group, artifact] => (group, artifact, None),
        [group, artifact, .., version] => (group, artifact, Some(*version)),
        _ => {
            let message = format!("`{}` is not a Maven artifact", text::excerpt(coordinates));
            return found.warn(declared.line, message);
        }
    };
    let is_range = |version: &&str| version.starts_with(['[', '(']) || version.contains(',');
    let specifier = version.filter(is_range);
    let version = version.filter(|version| !is_range(version));
    let name = format!("{group}:{artifact}");
    let declared = Declared { name: &name, version, specifier, ..declared };
    found.add_of(Ecosystem::Maven, declared);
}

/// `crate.spec(package = "a", version = "1.0")`: the version is a requirement of Cargo.
fn crate_spec(
    program: &Program<'_, '_>,
    arguments: &Arguments<'_>,
    declared: Declared<'_>,
    found: &mut Collector<'_>,
) {
    let text = |name: &str| program.text(arguments.get(name)?);
    let Some(name) = text("package").filter(|_| arguments.get("path").is_none()) else { return };
    let wanted = text("version");
    let exact = wanted.as_deref().and_then(|wanted| wanted.strip_prefix('=')).map(str::trim);
    let commit = text("rev").filter(|_| arguments.get("git").is_some());
    let version = exact.filter(|exact| version::is_complete(exact)).or(commit.as_deref());
    let specifier = wanted.as_deref().filter(|_| version.is_none());
    let declared = Declared { name: &name, version, specifier, ..declared };
    found.add_of(Ecosystem::Cargo, declared);
}

/// `image`, or `registry` and `repository`, with `digest` and `tag`.
fn image(
    program: &Program<'_, '_>,
    arguments: &Arguments<'_>,
    line: u32,
    scope: Scope,
    found: &mut Collector<'_>,
) {
    let text = |name: &str| program.text(arguments.get(name)?);
    let named = text("image").or_else(|| {
        let repository = text("repository")?;
        Some(match text("registry") {
            Some(registry) => format!("{registry}/{repository}"),
            None => repository,
        })
    });
    let Some(mut reference) = named else { return };
    for (mark, name) in [(":", "tag"), ("@", "digest")] {
        reference.extend(text(name).map(|text| format!("{mark}{text}")));
    }
    Images::default().add_or_warn(&reference, line, scope, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names_and_versions() {
        for (url, name, version) in [
            ("https://zlib.net/zlib-1.3.1.tar.gz", Some("zlib"), Some("1.3.1")),
            ("https://h.example/a/boost_1.84.0.tar.bz2", Some("boost"), Some("1.84.0")),
            ("https://h.example/kite-lib-v2.0-rc.1.zip?x=1.0", Some("kite-lib"), Some("v2.0-rc.1")),
            ("https://h.example/kite/v1.0.zip", None, Some("v1.0")),
            ("https://h.example/kite/1.0/kite.jar", Some("kite"), Some("1.0")),
            ("https://h.example/kite.tar.xz", Some("kite"), None),
            (
                "https://h.example/sqlite-amalgamation-3450000.zip",
                Some("sqlite-amalgamation-3450000"),
                None,
            ),
        ] {
            assert_eq!(name_and_version(url), (name, version), "{url}");
        }
    }
}
