//! SPDX 2.2 and 2.3 by their JSON schema, as JSON, YAML or XML, and the packages of SPDX 3.
//!
//! Input: a document. Output: the packages with a purl among their external references, and their
//! relationships. Invariants: where the document describes exactly one package, that package is the
//! subject; where it describes several, they are ordinary packages.

use super::{
    list::{Component, Document},
    part::{Part, Role, Seen},
};
use crate::ecosystem::{collect::Collector, json::Node};
use crate::model::scan_result::Scope;
use std::{borrow::Cow, collections::HashMap};

/// Reads a document of SPDX 2.
pub(super) fn read<'t, P: Part<'t>>(root: P, found: &mut Collector<'_>) {
    if root.text("spdxVersion").is_some_and(|version| !version.starts_with("SPDX-2.")) {
        found.warn(root.line(), "unknown spdxVersion; parsed as far as possible");
    }
    let mut relations = Relations::default();
    let mut seen = Seen::default();
    let described = root.list("documentDescribes", Role::Described, &mut seen);
    for described in described.into_iter().filter_map(P::own_text) {
        relations.add("SPDXRef-DOCUMENT", "DESCRIBES", described);
    }
    for relationship in root.list("relationships", Role::Relationships, &mut seen) {
        let part = |key: &str| relationship.text(key).unwrap_or_default();
        relations.add(part("spdxElementId"), part("relationshipType"), part("relatedSpdxElement"));
    }
    let mut components = Vec::new();
    for package in root.list("packages", Role::Packages, &mut seen) {
        let references = package.list("externalRefs", Role::References, &mut seen);
        let mut purls = references
            .into_iter()
            .filter(|reference| reference.text("referenceType").is_some_and(is_purl));
        let mut read = Component {
            reference: Cow::Borrowed(package.text("SPDXID").unwrap_or_default()),
            purl: purls.find_map(|reference| reference.text("referenceLocator")).map(Cow::Borrowed),
            name: Cow::Borrowed(package.text("name").unwrap_or_default()),
            version: package.text("versionInfo").and_then(known).map(Cow::Borrowed),
            line: package.line(),
            licenses: stated_license(package.text("licenseDeclared")),
            ..Component::default()
        };
        for checksum in package.list("checksums", Role::Checksums, &mut seen) {
            let part = |key: &str| checksum.text(key).unwrap_or_default();
            read.digest(part("algorithm"), part("checksumValue"));
        }
        components.push(read);
    }
    relations.document(components).list(found);
}

/// Whether a reference type is that of purls: `purl`, or a URL that ends with it.
pub(super) fn is_purl(kind: &str) -> bool {
    kind.rsplit(['/', '#']).next() == Some("purl")
}

/// The license that a document states, without references to texts that only it has.
pub(super) fn stated_license(value: Option<&str>) -> Vec<Cow<'_, str>> {
    let stated = value.and_then(known).filter(|text| !text.starts_with("LicenseRef-"));
    stated.map(Cow::Borrowed).into_iter().collect()
}

/// A value, unless it is empty, `NOASSERTION` or `NONE`.
pub(super) fn known(value: &str) -> Option<&str> {
    Some(value).filter(|text| !text.is_empty() && !matches!(*text, "NOASSERTION" | "NONE"))
}

/// The relationships of a document.
#[derive(Debug, Default)]
pub(super) struct Relations<'a> {
    described: Vec<&'a str>,
    requires: Vec<(&'a str, &'a str)>,
    scopes: HashMap<&'a str, Scope>,
}

impl<'a> Relations<'a> {
    pub(super) fn add(&mut self, from: &'a str, kind: &str, to: &'a str) {
        let scope = match kind {
            "DESCRIBES" => return self.describe(to),
            "DESCRIBED_BY" => return self.describe(from),
            "DEPENDS_ON" => return self.requires.push((from, to)),
            "DEPENDENCY_OF" => None,
            "RUNTIME_DEPENDENCY_OF" => Some(Scope::Runtime),
            "DEV_DEPENDENCY_OF" => Some(Scope::Dev),
            "OPTIONAL_DEPENDENCY_OF" => Some(Scope::Optional),
            "BUILD_DEPENDENCY_OF" => Some(Scope::Build),
            "TEST_DEPENDENCY_OF" => Some(Scope::Test),
            "PROVIDED_DEPENDENCY_OF" => Some(Scope::Peer),
            _ => return,
        };
        self.requires.push((to, from));
        if let Some(scope) = scope {
            self.scopes.insert(from, scope);
        }
    }

    fn describe(&mut self, package: &'a str) {
        if !self.described.contains(&package) && self.described.len() < 2 {
            self.described.push(package);
        }
    }

    /// The document with these packages.
    pub(super) fn document(self, mut components: Vec<Component<'a>>) -> Document<'a> {
        for component in &mut components {
            component.scope = self.scopes.get(component.reference.as_ref()).copied();
        }
        let subject = match self.described.as_slice() {
            [subject] if components.len() > 1 => Some(*subject),
            _ => None,
        };
        // The subject does not need a purl.
        components.retain(|component| {
            component.purl.is_some() || Some(component.reference.as_ref()) != subject
        });
        let mut document =
            Document { components, subject: subject.map(Cow::Borrowed), ..Document::default() };
        for of_one in self.requires.chunk_by(|a, b| std::ptr::eq(a.0, b.0)) {
            let by = of_one.first().map_or("", |relation| relation.0);
            document.require(
                Cow::Borrowed(by),
                of_one.iter().map(|relation| Cow::Borrowed(relation.1)),
            );
        }
        document
    }
}

/// Reads an SPDX 3 document, whose elements are all in one array.
pub(super) fn read_graph(root: &Node<'_>, found: &mut Collector<'_>) {
    let kind = |element: &Node<'_>| {
        element.text("type").or_else(|| element.text("@type")).map(str::to_owned)
    };
    let mut relations = Relations::default();
    let mut components = Vec::new();
    for element in root.elements("@graph") {
        match kind(element).as_deref() {
            Some("software_Package") => components.push(package_of_graph(element)),
            Some("Relationship") if element.text("relationshipType") == Some("dependsOn") => {
                let from = element.text("from").unwrap_or_default();
                for to in element.elements("to").filter_map(Node::as_str) {
                    relations.add(from, "DEPENDS_ON", to);
                }
            }
            Some("software_Sbom") => {
                for subject in element.elements("rootElement").filter_map(Node::as_str) {
                    relations.add("", "DESCRIBES", subject);
                }
            }
            _ => {}
        }
    }
    relations.document(components).list(found);
}

fn package_of_graph<'a>(element: &'a Node<'_>) -> Component<'a> {
    let mut identifiers = element.elements("externalIdentifier");
    let purl = element.text("software_packageUrl").or_else(|| {
        let of_purl = |identifier: &&Node<'_>| {
            identifier
                .text("externalIdentifierType")
                .is_some_and(|kind| kind.eq_ignore_ascii_case("packageUrl"))
        };
        identifiers.find(of_purl)?.text("identifier")
    });
    let reference = element.text("spdxId").or_else(|| element.text("@id")).unwrap_or_default();
    let mut read = Component {
        reference: Cow::Borrowed(reference),
        purl: purl.map(Cow::Borrowed),
        name: Cow::Borrowed(element.text("name").unwrap_or_default()),
        version: element.text("software_packageVersion").and_then(known).map(Cow::Borrowed),
        line: element.line,
        ..Component::default()
    };
    for hash in element.elements("verifiedUsing") {
        let part = |key: &str| hash.text(key).unwrap_or_default();
        read.digest(part("algorithm"), part("hashValue"));
    }
    read
}
