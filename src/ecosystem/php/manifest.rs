//! `composer.json`, by "The composer.json schema" and "Versions and constraints" of Composer's
//! manual.
//!
//! Input: `require` and `require-dev`. Output: each package as direct, the project's name, and the folders of
//! its path repositories. Invariants: a constraint is a version only if it allows exactly one.

use super::is_platform;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    git_reference,
    json::{self, Node},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `composer.json`.
#[derive(Debug)]
pub(in crate::ecosystem) struct ComposerJson;

impl Parser for ComposerJson {
    fn name(&self) -> &'static str {
        "composer-json"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "composer.json"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        json::read(file.bytes, Collector::new(file, Ecosystem::Composer, Source::Manifest), walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let repositories = root.get("repositories");
    // A list, or an object whose keys are names.
    let named =
        repositories.and_then(Node::members).unwrap_or_default().iter().map(|member| &member.value);
    let of_paths = root
        .elements("repositories")
        .chain(named)
        .filter(|repository| repository.text("type") == Some("path"))
        .filter_map(|repository| repository.text("url"));
    found.describe(root.text("name"), of_paths);
    for (key, scope) in [("require", Scope::Runtime), ("require-dev", Scope::Dev)] {
        let Some(group) = root.get(key) else { continue };
        let Some(members) = group.members() else {
            // PHP encodes an empty object as an empty array.
            if root.elements(key).next().is_some() || !matches!(group.value, json::Value::Array(_))
            {
                found.warn(group.line, format!("{key}: expected an object, got {}", group.kind()));
            }
            continue;
        };
        for entry in members.iter().filter(|entry| !is_platform(&entry.key)) {
            let Some(constraint) = entry.value.as_str() else {
                let (name, kind) = (text::excerpt(&entry.key), entry.value.kind());
                found.warn(entry.line, format!("`{name}`: expected a string, got {kind}"));
                continue;
            };
            let version = exact(constraint);
            found.add(Declared {
                name: &entry.key,
                version,
                specifier: version.is_none().then_some(constraint),
                line: entry.line,
                direct: Some(true),
                scope: Some(scope),
            });
        }
    }
}

/// The version of `1.2.3`, `v1.2.3` and `=1.2.3`, and the commit of `dev-main#4c8b71f`.
fn exact(constraint: &str) -> Option<&str> {
    let constraint = constraint.trim();
    if let Some((_, commit)) = constraint.split_once('#') {
        return git_reference::commit(commit);
    }
    let version = constraint.trim_start_matches('=').trim();
    let number = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let is_version = number.starts_with(|character: char| character.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
        && !number.split(['.', '-']).any(|part| matches!(part, "x" | "X"));
    is_version.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_distinguished_from_constraints() {
        for (constraint, version) in [
            ("1.2.3", Some("1.2.3")),
            ("=v1.2.3-beta.1", Some("v1.2.3-beta.1")),
            ("dev-main#4c8b71f58cb8", Some("4c8b71f58cb8")),
            ("^1.2", None),
            ("1.2.*", None),
            ("1.x-dev", None),
            ("1.0 || 2.0", None),
            ("1.2@dev", None),
            ("dev-main", None),
            ("*", None),
        ] {
            assert_eq!(exact(constraint), version, "{constraint}");
        }
    }
}
