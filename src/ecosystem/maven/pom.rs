//! Parses one pom to the parts of Maven's model that concern dependencies.
//!
//! Input: the text of a `pom.xml`. Output: a [`Pom`] with unexpanded expressions; they are expanded once all
//! poms of the repository have been read. Invariants: texts that are too long for a name or a version are
//! dropped, so that the memory until then is bounded by the number of entries.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    facts::{Fact, Facts},
    path::file_name,
    xml::{self, Element},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashMap;

/// Bytes of an average entry.
const USUAL_ENTRY: usize = 256;

/// Longest name and version in bytes.
const MAX_VALUE: usize = 300;

/// Reads `pom.xml`, and `*.pom` files of Maven repositories.
#[derive(Debug)]
pub(in crate::ecosystem) struct MavenPom;

impl Parser for MavenPom {
    fn name(&self) -> &'static str {
        "pom"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file == "pom.xml" || file.ends_with(".pom")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let text = xml::decode(file.bytes);
        let tree = xml::parse(&text, found.budget());
        for (line, message) in &tree.errors {
            found.warn(*line, message);
        }
        let Some(root) = tree.root().filter(|root| root.name() == "project") else {
            found.warn(1, "expected the element `project`");
            return found.unreadable();
        };
        let pom = Pom { file: file.path.to_owned(), ..Pom::default() };
        let mut reader = Reader { pom, found: &mut found };
        reader.read(root);
        let fact: Box<dyn Fact> = Box::new(reader.pom);
        Findings { fact: Some(fact), ..found.finish() }
    }
}

/// The contents of one pom, unexpanded.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pom {
    pub(super) file: String,
    pub(super) own: Coordinates,
    pub(super) parent: Option<Parent>,
    pub(super) properties: HashMap<String, String>,
    /// The properties of the profiles that are not active by default.
    pub(super) profiles: Vec<HashMap<String, String>>,
    pub(super) entries: Vec<Entry>,
    /// `dependencyManagement`, and `pluginManagement`.
    pub(super) managed: Vec<Entry>,
}

impl Fact for Pom {
    /// The number of entries, with long ones counted several times: a measure of the memory of the pom and
    /// of its packages, each of which contains the path of the file.
    fn size(&self) -> usize {
        let path = self.file.len();
        let entries = self.entries.iter().map(|entry| entry.text_len() + path);
        let managed = self.managed.iter().map(Entry::text_len);
        let properties = self.profiles.iter().chain([&self.properties]).flatten();
        let properties = properties.map(|(name, value)| name.len() + value.len());
        let all = entries.chain(managed).chain(properties).map(|bytes| 1 + bytes / USUAL_ENTRY);
        1 + path / USUAL_ENTRY + self.profiles.len() + all.sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|poms: &mut Vec<Self>| poms.push(*self));
    }
}

impl Pom {
    /// The pom's group, or its parent's.
    pub(super) fn group(&self) -> Option<&str> {
        self.own.group.as_deref().or_else(|| self.parent.as_ref()?.of.group.as_deref())
    }

    /// The pom's version, or its parent's.
    pub(super) fn version(&self) -> Option<&str> {
        self.own.version.as_deref().or_else(|| self.parent.as_ref()?.of.version.as_deref())
    }
}

/// Group, artifact and version.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Coordinates {
    pub(super) group: Option<String>,
    pub(super) artifact: Option<String>,
    pub(super) version: Option<String>,
}

/// The `parent` element.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parent {
    pub(super) of: Coordinates,
    /// None if the parent is found by its coordinates only.
    pub(super) path: Option<String>,
}

/// A dependency, a plugin or an extension.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) of: Coordinates,
    pub(super) is_plugin: bool,
    /// `type` and `classifier`, which together with group and artifact identify a managed entry.
    pub(super) kind: Option<String>,
    pub(super) classifier: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) optional: bool,
    /// Whether the entry is part of the build, not of the product.
    pub(super) builds: bool,
    /// The entry's profile, unless that is active by default.
    pub(super) profile: Option<usize>,
    pub(super) line: u32,
}

impl Entry {
    fn text_len(&self) -> usize {
        let Coordinates { group, artifact, version } = &self.of;
        let texts = [group, artifact, version, &self.kind, &self.classifier, &self.scope];
        texts.into_iter().flatten().map(String::len).sum()
    }

    pub(super) fn is_import(&self) -> bool {
        self.scope.as_deref() == Some("import")
    }
}

struct Reader<'f, 'c> {
    pom: Pom,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_> {
    fn read(&mut self, project: Element<'_, '_>) {
        self.pom.own = coordinates(project);
        self.pom.parent = project.child("parent").map(|parent| Parent {
            of: coordinates(parent),
            path: match parent.child("relativePath") {
                Some(path) if path.text().is_empty() => None,
                Some(path) => Some(path.text().chars().take(MAX_VALUE).collect()),
                None => Some("../pom.xml".to_owned()),
            },
        });
        self.pom.properties = properties(project);
        self.sections(project, None);
        for profile in project.descend(&["profiles", "profile"]) {
            let active = profile.descend(&["activation", "activeByDefault"]);
            if active.iter().any(|active| active.text() == "true") {
                self.pom.properties.extend(properties(profile));
                self.sections(profile, None);
            } else {
                self.pom.profiles.push(properties(profile));
                self.sections(profile, Some(self.pom.profiles.len() - 1));
            }
        }
    }

    /// Reads the sections that a project and its profiles may have.
    fn sections(&mut self, of: Element<'_, '_>, profile: Option<usize>) {
        let dependency = Entry { profile, ..Entry::default() };
        for element in of.descend(&["dependencies", "dependency"]) {
            self.entry(element, &dependency);
        }
        for element in of.descend(&["dependencyManagement", "dependencies", "dependency"]) {
            let entry = entry(element, &dependency);
            self.pom.managed.extend(entry);
        }
        let plugin = || Entry { is_plugin: true, builds: true, profile, ..Entry::default() };
        for element in of.descend(&["build", "pluginManagement", "plugins", "plugin"]) {
            self.pom.managed.extend(entry(element, &plugin()));
        }
        for element in of.descend(&["build", "plugins", "plugin"]) {
            self.entry(element, &plugin());
            for element in element.descend(&["dependencies", "dependency"]) {
                self.entry(element, &Entry { builds: true, profile, ..Entry::default() });
            }
        }
        for element in of.descend(&["build", "extensions", "extension"]) {
            self.entry(element, &plugin());
        }
    }

    fn entry(&mut self, element: Element<'_, '_>, like: &Entry) {
        if let Some(entry) = entry(element, like) {
            self.pom.entries.push(entry);
        } else {
            let message = format!("a {} without a group or an artifact", element.name());
            self.found.warn(element.line(), message);
        }
    }
}

fn entry(element: Element<'_, '_>, like: &Entry) -> Option<Entry> {
    let mut of = coordinates(element);
    if like.is_plugin {
        // Maven's own plugins need no group.
        of.group.get_or_insert_with(|| "org.apache.maven.plugins".to_owned());
    }
    (of.group.is_some() && of.artifact.is_some()).then(|| Entry {
        of,
        kind: value(element, "type").filter(|kind| kind != "jar"),
        classifier: value(element, "classifier"),
        scope: value(element, "scope"),
        optional: value(element, "optional").is_some_and(|optional| optional == "true"),
        line: element.line(),
        ..*like
    })
}

fn coordinates(of: Element<'_, '_>) -> Coordinates {
    Coordinates {
        group: value(of, "groupId"),
        artifact: value(of, "artifactId"),
        version: value(of, "version"),
    }
}

fn properties(of: Element<'_, '_>) -> HashMap<String, String> {
    let all = of.child("properties").into_iter().flat_map(Element::children);
    all.filter(|property| property.text().len() <= MAX_VALUE && property.name().len() <= MAX_VALUE)
        .map(|property| (property.name().to_owned(), property.text().to_owned()))
        .collect()
}

fn value(of: Element<'_, '_>, name: &str) -> Option<String> {
    let text = of.child(name)?.text();
    (!text.is_empty() && text.len() <= MAX_VALUE).then(|| text.to_owned())
}
