//! `CycloneDX` (ECMA-424) of all versions, as JSON and as XML.
//!
//! Input: a document. Output: its components, including nested ones, and its `dependencies`.
//! Invariants: `metadata.component` is the subject and not a package; `excluded` means "not needed at
//! run time"; nothing here recurses.

use super::{
    collector,
    list::{Component, Document},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    json::Node,
    path::file_name,
    xml::{self, Element},
};
use crate::model::scan_result::Scope;
use std::borrow::Cow;

/// Component types that are packages only if they have a purl.
const NO_PACKAGES: [&str; 8] = [
    "file",
    "operating-system",
    "device",
    "device-driver",
    "firmware",
    "data",
    "machine-learning-model",
    "cryptographic-asset",
];

/// Reads `CycloneDX` documents in XML.
#[derive(Debug)]
pub(in crate::ecosystem) struct CycloneDxXml;

impl Parser for CycloneDxXml {
    fn name(&self) -> &'static str {
        "sbom-xml"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        let ends = [".cdx.xml", ".cyclonedx.xml", ".bom.xml", ".sbom.xml"];
        matches!(name.as_str(), "bom.xml" | "sbom.xml" | "cyclonedx.xml")
            || ends.iter().any(|end| name.ends_with(end))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = collector(file);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root() else {
            found.warn(1, "no document");
            return found.unreadable();
        };
        if root.name() != "bom" {
            found.warn(root.line(), "not a document of CycloneDX");
            return found.unreadable();
        }
        of_xml(root).list(&mut found);
        found.finish()
    }
}

fn scope_of(word: Option<&str>) -> Option<Scope> {
    match word {
        Some("required") => Some(Scope::Runtime),
        Some("optional") => Some(Scope::Optional),
        Some("excluded") => Some(Scope::Dev),
        _ => None,
    }
}

/// Reads a JSON document.
pub(super) fn read(root: &Node<'_>, found: &mut Collector<'_>) {
    let known = root.text("specVersion").is_none_or(|version| version.starts_with("1."));
    if !known {
        found.warn(root.line, "unknown specVersion; parsed as far as possible");
    }
    let subject = root.get("metadata").and_then(|metadata| metadata.get("component"));
    let mut document = Document {
        subject: subject.and_then(|subject| subject.text("bom-ref")).map(Cow::Borrowed),
        ..Document::default()
    };
    let mut open: Vec<&Node<'_>> = root.elements("components").collect();
    // Some tools nest the components in the subject.
    open.extend(subject.into_iter().flat_map(|subject| subject.elements("components")));
    while let Some(component) = open.pop() {
        if component.members().is_none() {
            let message = format!("a component: expected an object, got {}", component.kind());
            found.warn(component.line, message);
            continue;
        }
        open.extend(component.elements("components"));
        let is_package = !NO_PACKAGES.contains(&component.text("type").unwrap_or_default());
        if is_package || component.text("purl").is_some() {
            document.components.push(of_json(component));
        }
    }
    document.components.sort_by_key(|component| component.line);
    for dependency in root.elements("dependencies") {
        let reference = dependency.text("ref").unwrap_or_default();
        let required = dependency.elements("dependsOn").filter_map(Node::as_str);
        document.require(Cow::Borrowed(reference), required.map(Cow::Borrowed));
    }
    document.list(found);
}

fn of_json<'a>(component: &'a Node<'_>) -> Component<'a> {
    // npm has a property of its own for what the scope cannot express.
    let is_dev = component.elements("properties").any(|property| {
        property.text("name") == Some("cdx:npm:package:development")
            && property.text("value") == Some("true")
    });
    let purl = component.text("purl").map(Cow::Borrowed);
    let reference = component.text("bom-ref").or_else(|| component.text("purl"));
    let licenses = component.elements("licenses").filter_map(|choice| {
        let named = choice.get("license");
        let named = named.and_then(|license| license.text("id").or_else(|| license.text("name")));
        choice.text("expression").or(named).map(Cow::Borrowed)
    });
    let mut read = Component {
        reference: Cow::Borrowed(reference.unwrap_or_default()),
        purl,
        name: Cow::Borrowed(component.text("name").unwrap_or_default()),
        version: component.text("version").map(Cow::Borrowed),
        line: component.line,
        scope: if is_dev { Some(Scope::Dev) } else { scope_of(component.text("scope")) },
        licenses: licenses.collect(),
        digests: Vec::new(),
    };
    for hash in component.elements("hashes") {
        let part = |key: &str| hash.text(key).unwrap_or_default();
        read.digest(part("alg"), part("content"));
    }
    read
}

fn of_xml<'t>(root: Element<'t, '_>) -> Document<'t> {
    let subject = root.child("metadata").and_then(|metadata| metadata.child("component"));
    let mut document = Document {
        subject: subject.and_then(|subject| subject.attribute("bom-ref")).map(owned),
        ..Document::default()
    };
    let within = |parent: Element<'t, '_>| parent.descend(&["components", "component"]);
    let mut open = within(root);
    open.extend(subject.into_iter().flat_map(within));
    while let Some(component) = open.pop() {
        open.extend(within(component));
        let text = |key: &str| {
            component
                .child(key)
                .map(|child| Cow::Borrowed(child.text()))
                .filter(|text| !text.is_empty())
        };
        let kind = component.attribute("type").unwrap_or_default();
        let purl = text("purl");
        if purl.is_none() && NO_PACKAGES.contains(&kind.as_ref()) {
            continue;
        }
        let reference = component.attribute("bom-ref").map(owned).or_else(|| purl.clone());
        let choices = component.descend(&["licenses"]).into_iter().flat_map(Element::children);
        let licenses = choices.filter_map(|choice| {
            let named = || choice.child("id").or_else(|| choice.child("name"));
            let stating = if choice.name() == "expression" { Some(choice) } else { named() };
            stating.map(|element| Cow::Borrowed(element.text()))
        });
        let mut read = Component {
            reference: reference.unwrap_or_default(),
            purl,
            name: text("name").unwrap_or_default(),
            version: text("version"),
            line: component.line(),
            scope: scope_of(text("scope").as_deref()),
            licenses: licenses.collect(),
            digests: Vec::new(),
        };
        for hash in component.descend(&["hashes", "hash"]) {
            read.digest(&hash.attribute("alg").unwrap_or_default(), hash.text());
        }
        document.components.push(read);
    }
    document.components.sort_by_key(|component| component.line);
    for dependency in root.descend(&["dependencies", "dependency"]) {
        let reference = dependency.attribute("ref").map(owned).unwrap_or_default();
        let required = dependency.children().filter(|child| child.name() == "dependency");
        document.require(
            reference,
            required.filter_map(|required| required.attribute("ref").map(owned)),
        );
    }
    document
}

fn owned<'t>(text: Cow<'_, str>) -> Cow<'t, str> {
    Cow::Owned(text.into_owned())
}
