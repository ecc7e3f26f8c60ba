//! SPDX 2.2 and 2.3 as RDF/XML, by the W3C's "RDF 1.1 XML Syntax" and SPDX's RDF terms; and as XML, which has
//! the members of the JSON schema.
//!
//! Input: a document. Output: the same as for a JSON document. Decisions: of RDF/XML, node and property
//! elements are read, also nested ones, with `rdf:about`, `rdf:ID`, `rdf:nodeID` and `rdf:resource`; property
//! attributes and collections are not, because SPDX's tools write none.
//!
//! Invariants: the order of the descriptions of a resource does not matter; other RDF gives nothing.

use super::{
    collector,
    list::Component,
    spdx::{self, Relations, known},
};
use crate::ecosystem::{
    Budget, Findings, Parser, SourceFile,
    path::file_name,
    xml::{self, Element},
};
use std::{borrow::Cow, collections::HashMap};

/// The properties that are kept.
const PROPERTIES: [&str; 10] = [
    "name",
    "versionInfo",
    "externalRef",
    "referenceType",
    "referenceLocator",
    "relationship",
    "relationshipType",
    "relatedSpdxElement",
    "spdxElement",
    "describesPackage",
];

/// Reads `*.spdx.rdf`, `*.rdf` and `*.spdx.xml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct SpdxXml;

impl Parser for SpdxXml {
    fn name(&self) -> &'static str {
        "spdx-xml"
    }

    fn wants(&self, path: &str) -> bool {
        let name = file_name(path).to_ascii_lowercase();
        let ends = [".rdf", ".rdf.xml", ".spdx.xml"];
        name == "spdx.xml" || ends.iter().any(|end| name.len() > end.len() && name.ends_with(end))
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
        match root.name() {
            "Document" => {
                spdx::read(root, &mut found);
                found.finish()
            }
            "RDF" => {
                let graph = Graph::read(root);
                if !graph.is_spdx {
                    return Findings::default();
                }
                graph.document(found.budget()).list(&mut found);
                found.finish()
            }
            _ => {
                found.warn(root.line(), "not an SPDX document");
                found.unreadable()
            }
        }
    }
}

/// The value of a property.
#[derive(Debug)]
enum Value<'t> {
    Text(&'t str),
    /// The name of a resource.
    Resource(Cow<'t, str>),
}

/// A resource with the properties that the document states.
#[derive(Debug, Default)]
struct Resource<'t> {
    name: Cow<'t, str>,
    is_package: bool,
    line: u32,
    properties: Vec<(&'t str, Value<'t>)>,
}

/// The resources of a document.
#[derive(Debug, Default)]
struct Graph<'t> {
    resources: Vec<Resource<'t>>,
    by_name: HashMap<Cow<'t, str>, usize>,
    is_spdx: bool,
}

impl<'t> Graph<'t> {
    fn read<'a: 't>(root: Element<'t, 'a>) -> Self {
        let mut graph = Self::default();
        let mut anonymous = 0_usize;
        let mut name_of = |element: Element<'t, 'a>| -> Cow<'t, str> {
            let about = element.attribute("rdf:about").or_else(|| element.attribute("rdf:ID"));
            if let Some(about) = about {
                return fragment(about);
            }
            if let Some(node) = element.attribute("rdf:nodeID") {
                return Cow::Owned(format!("_:{node}"));
            }
            anonymous += 1;
            Cow::Owned(format!("_:#{anonymous}"))
        };
        let mut open: Vec<(Element<'t, 'a>, Cow<'t, str>)> = Vec::new();
        for element in root.children() {
            let name = name_of(element);
            open.push((element, name));
        }
        while let Some((element, name)) = open.pop() {
            let kind = element.name();
            let (mut is_package, mut properties) = (kind == "Package", Vec::new());
            graph.is_spdx |= matches!(kind, "Package" | "SpdxDocument");
            for property in element.children() {
                let key = property.name();
                let resource = || property.attribute("rdf:resource").map(fragment);
                if key == "type" {
                    let kind = resource().unwrap_or_default();
                    is_package |= kind == "Package";
                    graph.is_spdx |= matches!(&*kind, "Package" | "SpdxDocument");
                    continue;
                }
                let mut values = Vec::new();
                for child in property.children() {
                    let name = name_of(child);
                    values.push(Value::Resource(name.clone()));
                    open.push((child, name));
                }
                if PROPERTIES.contains(&key) {
                    let node = || {
                        let node = property.attribute("rdf:nodeID")?;
                        Some(Cow::Owned(format!("_:{node}")))
                    };
                    if values.is_empty() {
                        let named = resource().or_else(node).map(Value::Resource);
                        values.push(named.unwrap_or_else(|| Value::Text(property.text())));
                    }
                    properties.extend(values.into_iter().map(|value| (key, value)));
                }
            }
            graph.add(Resource { name, is_package, line: element.line(), properties });
        }
        graph
    }

    /// Adds a description of a resource.
    fn add(&mut self, described: Resource<'t>) {
        let at = *self.by_name.entry(described.name.clone()).or_insert(self.resources.len());
        match self.resources.get_mut(at) {
            Some(known) => {
                // A package has the line of a description that states its type.
                if described.is_package && (!known.is_package || described.line < known.line) {
                    known.line = described.line;
                }
                known.is_package |= described.is_package;
                known.properties.extend(described.properties);
            }
            None => self.resources.push(described),
        }
    }

    fn get(&self, name: &str) -> Option<&Resource<'t>> {
        self.resources.get(*self.by_name.get(name)?)
    }

    /// The packages and their relationships.
    fn document<'g>(&'g self, budget: &'g Budget) -> super::list::Document<'g> {
        let mut relations = Relations::default();
        let mut components = Vec::new();
        for resource in &self.resources {
            let name = resource.name.as_ref();
            if resource.is_package {
                let text = |key| resource.values(key, budget).find_map(Value::text);
                let references = resource.values("externalRef", budget).filter_map(Value::resource);
                let mut references = references.filter_map(|reference| self.get(reference));
                components.push(Component {
                    reference: Cow::Borrowed(name),
                    purl: references
                        .find_map(|reference| reference.purl(budget))
                        .map(Cow::Borrowed),
                    name: Cow::Borrowed(text("name").unwrap_or_default()),
                    version: text("versionInfo").and_then(known).map(Cow::Borrowed),
                    line: resource.line,
                    ..Component::default()
                });
            }
            let related = resource.values("relationship", budget).filter_map(Value::resource);
            for relationship in related.filter_map(|relationship| self.get(relationship)) {
                relationship.relate(name, &mut relations, budget);
            }
            if let Some(from) = resource.values("spdxElement", budget).find_map(Value::resource) {
                resource.relate(from, &mut relations, budget);
            }
            for described in resource.values("describesPackage", budget).filter_map(Value::resource)
            {
                relations.add(name, "DESCRIBES", described);
            }
        }
        components.sort_by(|a: &Component<'_>, b| (a.line, &a.name).cmp(&(b.line, &b.name)));
        relations.document(components)
    }
}

impl<'t> Resource<'t> {
    fn values<'g>(
        &'g self,
        key: &'g str,
        budget: &'g Budget,
    ) -> impl Iterator<Item = &'g Value<'t>> + use<'g, 't> {
        let all = self.properties.iter().take_while(move |_| budget.visit());
        all.filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The locator of a reference of the type purl.
    fn purl<'g>(&'g self, budget: &'g Budget) -> Option<&'g str> {
        let is_purl = |value: &Value<'_>| {
            value.text().or_else(|| value.resource()).is_some_and(spdx::is_purl)
        };
        self.values("referenceType", budget).any(is_purl).then_some(())?;
        self.values("referenceLocator", budget).find_map(Value::text)
    }

    /// Adds the relationship that this resource is.
    fn relate<'g>(&'g self, from: &'g str, relations: &mut Relations<'g>, budget: &'g Budget) {
        let kind = self.values("relationshipType", budget).next();
        let kind =
            kind.and_then(|kind| kind.text().or_else(|| kind.resource())).unwrap_or_default();
        let kind = tag_of(kind);
        let related = self.values("relatedSpdxElement", budget).find_map(Value::resource);
        if let Some(to) = related {
            relations.add(from, &kind, to);
        }
    }
}

impl Value<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Resource(_) => None,
        }
    }

    fn resource(&self) -> Option<&str> {
        match self {
            Self::Text(_) => None,
            Self::Resource(name) => Some(name),
        }
    }
}

/// The part of an address after `#`, by which a document names its own elements and SPDX its terms.
fn fragment(address: Cow<'_, str>) -> Cow<'_, str> {
    match address {
        Cow::Borrowed(address) => Cow::Borrowed(address.rsplit('#').next().unwrap_or(address)),
        Cow::Owned(address) => {
            let part = address.rsplit('#').next().unwrap_or_default();
            Cow::Owned(part.to_owned())
        }
    }
}

/// The name of a type of relationship in the other formats: `DEPENDS_ON` for `relationshipType_dependsOn`.
fn tag_of(term: &str) -> String {
    const LONGEST: usize = 100;
    let term = term.rsplit_once("relationshipType_").map_or(term, |(_, name)| name);
    let mut tag = String::new();
    let has_small = term.bytes().any(|byte| byte.is_ascii_lowercase());
    for character in term.chars().take(LONGEST) {
        if has_small && character.is_ascii_uppercase() {
            tag.push('_');
        }
        tag.push(character.to_ascii_uppercase());
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_become_tags() {
        for (term, tag) in [
            ("relationshipType_dependsOn", "DEPENDS_ON"),
            ("http://spdx.org/rdf/terms#relationshipType_describedBy", "DESCRIBED_BY"),
            ("relationshipType_devDependencyOf", "DEV_DEPENDENCY_OF"),
            ("DEPENDS_ON", "DEPENDS_ON"),
            ("", ""),
        ] {
            assert_eq!(tag_of(term), tag);
        }
    }
}
