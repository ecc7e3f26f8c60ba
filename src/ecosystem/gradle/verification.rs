//! `gradle/verification-metadata.xml`, by "Verifying dependencies" of Gradle's manual.
//!
//! Input: the checksums of all files that a build ever used. Output: their modules. Invariants: the file is
//! read in deep scans only, because Gradle adds entries and removes none: it lists modules that are no
//! longer used, and dependencies of Gradle plugins.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    xml::{self, Element},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads `verification-metadata.xml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct VerificationMetadata;

impl Parser for VerificationMetadata {
    fn name(&self) -> &'static str {
        "gradle-verification"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "verification-metadata.xml"
    }

    fn is_deep(&self) -> bool {
        true
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Lockfile);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|root| root.name() == "verification-metadata") else {
            if !found.has_warnings() && !text.trim().is_empty() {
                found.warn(1, "expected the element `verification-metadata`");
            }
            return found.unreadable();
        };
        for component in root.descend(&["components", "component"]) {
            read(component, &mut found);
        }
        found.finish()
    }
}

fn read(component: Element<'_, '_>, found: &mut Collector<'_>) {
    let line = component.line();
    let [group, name, version] = ["group", "name", "version"]
        .map(|key| component.attribute(key).filter(|value| !value.is_empty()));
    let (Some(group), Some(name)) = (group, name) else {
        return found.warn(line, "a component without a group or a name");
    };
    if version.is_none() {
        found.warn(line, format!("`{group}:{name}` has no version"));
    }
    let name = format!("{group}:{name}");
    let version = version.as_deref();
    let declared = Declared { name: &name, version, line, ..Declared::default() };
    let added = found.take(Ecosystem::Maven, declared);
    for artifact in component.descend(&["artifact"]) {
        // The other artifacts are the metadata.
        let is_archive = artifact.attribute("name").is_some_and(|file| {
            [".jar", ".aar", ".war"].iter().any(|ending| file.ends_with(ending))
        });
        for (algorithm, value) in is_archive.then(|| digests(artifact)).into_iter().flatten() {
            found.hash(added, &format!("{algorithm}:{value}"));
        }
    }
}

/// The algorithms and digests of an artifact.
fn digests<'e, 't>(
    artifact: Element<'e, 't>,
) -> impl Iterator<Item = (String, String)> + use<'e, 't> {
    artifact
        .children()
        .filter_map(|child| Some((child.name().to_owned(), child.attribute("value")?.into_owned())))
}
