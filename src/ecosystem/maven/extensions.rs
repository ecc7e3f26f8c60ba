//! `.mvn/extensions.xml`, by "Configuring Maven" and the reference of Maven's core extensions.
//!
//! Input: the extensions that Maven loads before it builds a project. Output: each of them, with the scope build.
//! Invariants: expressions are not expanded, because their values are system properties and options of the
//! command line.

use super::evaluate::{Unknown, Version, of_text};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    text,
    xml::{self, Element},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `.mvn/extensions.xml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CoreExtensions;

impl Parser for CoreExtensions {
    fn name(&self) -> &'static str {
        "maven-core-extensions"
    }

    fn wants(&self, path: &str) -> bool {
        path.strip_suffix(".mvn/extensions.xml")
            .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|root| root.name() == "extensions") else {
            found.warn(1, "expected the element `extensions`");
            return found.unreadable();
        };
        for extension in root.descend(&["extension"]) {
            read(extension, &mut found);
        }
        found.finish()
    }
}

fn read(extension: Element<'_, '_>, found: &mut Collector<'_>) {
    let value = |name| extension.child(name).map_or("", Element::text);
    let (group, artifact, version) = (value("groupId"), value("artifactId"), value("version"));
    let line = extension.line();
    if group.is_empty() || artifact.is_empty() {
        return found.warn(line, "an extension without a group or an artifact");
    }
    let name = format!("{group}:{artifact}");
    let version = match version {
        "" => unknown(None, "the version is missing"),
        version if version.contains("${") => {
            unknown(Some(version), "the value of the expression is not in the repository")
        }
        version => of_text(version.to_owned()),
    };
    if let Version::Unknown(unknown) = &version {
        found.warn(line, format!("`{}`: {}", text::excerpt(&name), unknown.why));
    }
    let (specifier, version) = (version.specifier(), version.exact());
    let (direct, scope) = (Some(true), Some(Scope::Build));
    found.add(Declared { name: &name, version, specifier, line, direct, scope });
}

fn unknown(declared: Option<&str>, why: &str) -> Version {
    let (declared, why) = (declared.map(str::to_owned), why.to_owned());
    Version::Unknown(Unknown { declared, why, ..Unknown::default() })
}
