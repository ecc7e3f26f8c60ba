//! `bower.json` and `.bower.json`, by Bower's "bower.json specification".
//!
//! Input: the dependency tables of a manifest, or the manifest that Bower wrote of an installed component. Output:
//! each dependency as a direct package with its range; of an installed component itself with its version.
//!
//! Decisions. A value is a range, a source with a range behind `#`, or a name of the registry with one. Bower takes
//! the versions of all sources from their tags, so `owner/name#1.0.2` has the version 1.0.2. Where
//! `resolutions` states one version of a dependency, it is installed, whatever the range.
//!
//! Invariants: a folder of the repository is not a package; a malformed entry loses only itself.

use super::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    json::{self, Node},
    npm::version_or_range,
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// The folder of installed components.
const INSTALLED: &str = "bower_components";

/// Reads `bower.json`, and `.bower.json` of installed components.
#[derive(Debug)]
pub(in crate::ecosystem) struct BowerJson;

impl Parser for BowerJson {
    fn name(&self) -> &'static str {
        "bower"
    }

    fn wants(&self, path: &str) -> bool {
        match file_name(path) {
            ".bower.json" => true,
            // That of an installed component has the ranges of another project.
            "bower.json" => !path.split('/').any(|folder| folder == INSTALLED),
            _ => false,
        }
    }

    /// An installed component belongs to the project around the folder of all of them.
    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        let around = path.find(INSTALLED).and_then(|at| path.get(..at));
        match around {
            Some(folder) => {
                let folder = folder.strip_suffix('/').unwrap_or(folder);
                Pairing { folder, ..Pairing::of(path) }
            }
            None => Pairing::of(path),
        }
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let is_copy = file.file_name() == ".bower.json";
        let source = if is_copy { Source::Lockfile } else { Source::Manifest };
        let found = Collector::new(file, Ecosystem::Bower, source);
        json::read(file.bytes, found, |root, found| {
            // Only Bower itself writes these members.
            let is_installed = ["_release", "_resolution", "_source"]
                .iter()
                .any(|member| root.get(member).is_some());
            if is_copy && is_installed {
                installed(root, found);
            } else {
                walk(root, found);
            }
        })
    }
}

/// The component that this manifest describes, as Bower installed it.
fn installed(root: &Node<'_>, found: &mut Collector<'_>) {
    let Some(name) = root.text("name") else {
        return found.warn(root.line, "the component has no name");
    };
    let commit = root.get("_resolution").and_then(|resolution| resolution.text("commit"));
    let version = root
        .text("version")
        .or_else(|| commit.and_then(git_reference::commit))
        .or_else(|| root.text("_release"));
    if version.is_none() {
        found.warn(root.line, format!("`{}` has no version", text::excerpt(name)));
    }
    let direct = root.is_true("_direct").then_some(true);
    found.add(Declared { name, version, line: root.line, direct, ..Declared::default() });
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let resolutions = root.get("resolutions");
    for (table, scope) in [("dependencies", Scope::Runtime), ("devDependencies", Scope::Dev)] {
        let Some(node) = root.get(table) else { continue };
        let Some(entries) = node.members() else {
            found.warn(node.line, format!("{table}: expected an object, got {}", node.kind()));
            continue;
        };
        for entry in entries {
            let Some(wanted) = entry.value.as_str() else {
                let name = text::excerpt(&entry.key);
                let message = format!("`{name}`: expected a string, got {}", entry.value.kind());
                found.warn(entry.line, message);
                continue;
            };
            let Some((name, mut version, specifier)) = read(&entry.key, wanted.trim()) else {
                continue;
            };
            if version.is_none() {
                let resolution = resolutions.and_then(|node| node.text(&entry.key));
                version = resolution.and_then(|range| version_or_range(range).0);
            }
            let (line, direct, scope) = (entry.line, Some(true), Some(scope));
            found.add(Declared { name, version, specifier, line, direct, scope });
        }
    }
}

/// The name, version and specifier of a dependency; none for a folder of the repository.
fn read<'a>(key: &'a str, wanted: &'a str) -> Option<(&'a str, Option<&'a str>, Option<&'a str>)> {
    let is_path = wanted.starts_with(['.', '/', '~']) && wanted.contains('/');
    if is_path || wanted.starts_with("file:") {
        return None;
    }
    let Some((source, range)) = wanted.split_once('#') else {
        let (version, specifier) = version_or_range(wanted);
        return Some((key, version, specifier));
    };
    let version = version_or_range(range).0.or_else(|| git_reference::commit(range));
    // The real name of a component in the registry, unless it is the source of a repository.
    let is_source = source.contains(['/', ':', '@']);
    let name = if is_source || source.is_empty() { key } else { source };
    let specifier = if is_source { wanted } else { range };
    Some((name, version, Some(specifier).filter(|_| version.is_none())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ranges_or_sources() {
        for (wanted, expected) in [
            ("1.2.3", Some(("key", Some("1.2.3"), None))),
            ("~1.2", Some(("key", None, Some("~1.2")))),
            ("", Some(("key", None, Some("")))),
            ("latest", Some(("key", None, Some("latest")))),
            ("real#1.2.3", Some(("real", Some("1.2.3"), None))),
            ("real#^2", Some(("real", None, Some("^2")))),
            ("owner/name#v1.0.2", Some(("key", Some("1.0.2"), None))),
            ("owner/name", Some(("key", None, Some("owner/name")))),
            ("git://h.example/a.git#main", Some(("key", None, Some("git://h.example/a.git#main")))),
            ("./libs/own", None),
            ("../own", None),
            ("~/own", None),
            ("file:///own", None),
        ] {
            assert_eq!(read("key", wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn installed_components_are_read_from_their_own_file() {
        for path in ["bower.json", "web/.bower.json", "bower_components/a/.bower.json"] {
            assert!(BowerJson.wants(path), "{path}");
        }
        assert!(!BowerJson.wants("web/bower_components/a/bower.json"));
    }
}
