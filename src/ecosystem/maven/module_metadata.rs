//! Gradle's module metadata (`*.module`) of the local cache, by "Gradle Module Metadata specification 1.1".
//!
//! Input: the metadata of a module that has no pom in the cache. Output: a [`Pom`] that manages what the module
//! constrains: its `dependencyConstraints`, and the platforms that it imports. Invariants: a version that is not one
//! (`rejects`, a range) manages nothing; equal entries of several variants count once.

use super::pom::{Coordinates, Entry, Pom};
use crate::ecosystem::{
    SourceFile,
    collect::Collector,
    json::{self, Node},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::BTreeSet;

/// Longest name and version in bytes.
const MAX_VALUE: usize = 300;

/// Reads module metadata as far as possible.
pub(super) fn read(file: SourceFile<'_>) -> Option<Pom> {
    let mut pom = None;
    let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
    let _ = json::read(file.bytes, found, |root, _| pom = Some(pom_of(file.path, root)));
    pom
}

fn pom_of(path: &str, root: &Node<'_>) -> Pom {
    let mut pom = Pom { file: path.to_owned(), ..Pom::default() };
    if let Some(component) = root.get("component") {
        pom.own = Coordinates {
            group: text(component, "group"),
            artifact: text(component, "module"),
            version: text(component, "version"),
        };
    }
    let mut seen = BTreeSet::new();
    for variant in root.elements("variants") {
        let constraints = variant.elements("dependencyConstraints").map(|node| (node, false));
        let platforms = variant.elements("dependencies").filter(|node| is_platform(node));
        for (node, is_import) in constraints.chain(platforms.map(|node| (node, true))) {
            let (group, artifact) = (text(node, "group"), text(node, "module"));
            let version = node.get("version").and_then(version);
            let (Some(group), Some(artifact), Some(version)) = (group, artifact, version) else {
                continue;
            };
            if !seen.insert((group.clone(), artifact.clone(), is_import)) {
                continue;
            }
            let of = Coordinates {
                group: Some(group),
                artifact: Some(artifact),
                version: Some(version),
            };
            let import = |text: &str| is_import.then(|| text.to_owned());
            let (kind, scope) = (import("pom"), import("import"));
            pom.managed.push(Entry { of, kind, scope, line: node.line, ..Entry::default() });
        }
    }
    pom
}

/// Whether a dependency is a platform.
fn is_platform(dependency: &Node<'_>) -> bool {
    let category = dependency.get("attributes").and_then(|all| all.text("org.gradle.category"));
    matches!(category, Some("platform" | "enforced-platform"))
}

/// The version of a rich version: the strict one, the required one, or else the preferred one.
fn version(of: &Node<'_>) -> Option<String> {
    let declared = ["strictly", "requires", "prefers"].iter().find_map(|name| text(of, name))?;
    let is_range = declared.starts_with(['[', ']', '(']) || declared.ends_with('+');
    if is_range { text(of, "prefers") } else { Some(declared) }
}

fn text(of: &Node<'_>, name: &str) -> Option<String> {
    let text = of.text(name)?;
    (!text.is_empty() && text.len() <= MAX_VALUE).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_and_platforms_are_managed() {
        let text = r#"{"formatVersion": "1.1",
            "component": {"group": "o", "module": "bom", "version": "7"},
            "variants": [
                {"name": "api", "attributes": {"org.gradle.category": "platform"},
                 "dependencies": [
                    {"group": "o", "module": "other-bom", "version": {"requires": "8"},
                     "attributes": {"org.gradle.category": "platform"}},
                    {"group": "o", "module": "lib", "version": {"requires": "1"}}],
                 "dependencyConstraints": [
                    {"group": "x", "module": "a", "version": {"requires": "1.0"}},
                    {"group": "x", "module": "b", "version": {"strictly": "[1,2[", "requires": "[1,2[", "prefers": "1.5"}},
                    {"group": "x", "module": "c", "version": {"requires": "1.+"}},
                    {"group": "x", "module": "d"}]},
                {"name": "runtime", "dependencyConstraints": [
                    {"group": "x", "module": "a", "version": {"requires": "1.0"}}]}]}"#;
        let pom = read(SourceFile::alone("o/bom/7/bom-7.module", text.as_bytes())).unwrap();
        assert_eq!(pom.own.artifact.as_deref(), Some("bom"));
        let shown: Vec<_> = pom
            .managed
            .iter()
            .map(|entry| {
                let Coordinates { artifact, version, .. } = &entry.of;
                (artifact.as_deref().unwrap(), version.as_deref().unwrap(), entry.is_import())
            })
            .collect();
        assert_eq!(shown, [("a", "1.0", false), ("b", "1.5", false), ("other-bom", "8", true)]);
    }
}
