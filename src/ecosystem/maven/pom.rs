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
use std::{collections::HashMap, sync::Arc};

/// Bytes of an average entry.
const USUAL_ENTRY: usize = 256;

/// The group of Maven's own plugins.
pub(super) const PLUGINS: &str = "org.apache.maven.plugins";

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
        let Some(pom) = parse(file, &mut found) else { return found.unreadable() };
        let fact: Box<dyn Fact> = Box::new(pom);
        Findings { fact: Some(fact), ..found.finish() }
    }
}

/// Reads a pom that is not a file of the repository, as far as possible.
pub(super) fn read(file: SourceFile<'_>) -> Option<Pom> {
    parse(file, &mut Collector::new(file, Ecosystem::Maven, Source::Manifest))
}

fn parse(file: SourceFile<'_>, found: &mut Collector<'_>) -> Option<Pom> {
    let text = xml::decode(file.bytes);
    let tree = xml::parse(&text, file.budget);
    for (line, message) in &tree.errors {
        found.warn(*line, message);
    }
    let Some(root) = tree.root().filter(|root| root.name() == "project") else {
        found.warn(1, "expected the element `project`");
        return None;
    };
    let pom = Pom { file: file.path.to_owned(), ..Pom::default() };
    let mut reader = Reader { pom, found };
    reader.read(root);
    Some(reader.pom)
}

/// The contents of one pom, unexpanded.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pom {
    pub(super) file: String,
    /// Whether the file is one of the local cache, not of the repository.
    pub(super) is_cached: bool,
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
    pub(super) line: u32,
}

/// What an entry is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    #[default]
    Dependency,
    Plugin,
    /// A plugin of `reporting`. By "Configuring Reporting Plugins" of the site plugin, its version may be that
    /// of the plugin in `build`.
    Report,
    /// A dependency of a plugin.
    OfPlugin,
    /// A path of `annotationProcessorPaths` of the compiler plugin.
    Processor,
    Extension,
}

impl Role {
    /// Whether `pluginManagement` manages the entry.
    pub(super) fn is_plugin(self) -> bool {
        matches!(self, Self::Plugin | Self::Report)
    }

    /// Whether any section manages the entry. From version 3.12 on, the compiler plugin takes missing versions
    /// of processors from `dependencyManagement`.
    pub(super) fn is_managed(self) -> bool {
        !matches!(self, Self::OfPlugin | Self::Extension)
    }
}

/// A dependency, a plugin or an extension.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) of: Coordinates,
    pub(super) role: Role,
    /// The plugin that the entry is a part of.
    pub(super) plugin: Option<Arc<Coordinates>>,
    /// Whether that plugin is only managed, so that the entry counts where the plugin is used.
    pub(super) is_of_managed: bool,
    /// Whether the modules below do not inherit the entry.
    pub(super) is_private: bool,
    /// `type` and `classifier`, which together with group and artifact identify a managed entry.
    pub(super) kind: Option<String>,
    pub(super) classifier: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) optional: bool,
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

    /// Whether the entry is part of the build, not of the product. In Maven 4 a dependency may be an annotation
    /// processor by its type.
    pub(super) fn builds(&self) -> bool {
        let processors = ["processor", "classpath-processor", "modular-processor"];
        self.role != Role::Dependency
            || self.kind.as_deref().is_some_and(|kind| processors.contains(&kind))
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
            line: parent.line(),
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
        self.entries(&of.descend(&["dependencies", "dependency"]), &dependency);
        let managed = of.descend(&["dependencyManagement", "dependencies", "dependency"]);
        self.pom.managed.extend(managed.into_iter().filter_map(|each| entry(each, &dependency)));
        let plugin = Entry { role: Role::Plugin, profile, ..Entry::default() };
        for element in of.descend(&["build", "pluginManagement", "plugins", "plugin"]) {
            if let Some(managed) = entry(element, &plugin) {
                self.parts(element, &managed, true);
                self.pom.managed.push(managed);
            }
        }
        for element in of.descend(&["build", "plugins", "plugin"]) {
            let Some(used) = self.entry(element, &plugin) else { continue };
            let at = self.pom.entries.len();
            self.parts(element, &used, false);
            self.pom.entries.insert(at, used);
        }
        let report = Entry { role: Role::Report, profile, ..Entry::default() };
        self.entries(&of.descend(&["reporting", "plugins", "plugin"]), &report);
        let extension = Entry { role: Role::Extension, profile, ..Entry::default() };
        self.entries(&of.descend(&["build", "extensions", "extension"]), &extension);
    }

    /// Reads the dependencies and the annotation processors of a plugin.
    fn parts(&mut self, element: Element<'_, '_>, plugin: &Entry, is_of_managed: bool) {
        let of = Arc::new(plugin.of.clone());
        let part = |role| Entry {
            role,
            plugin: Some(Arc::clone(&of)),
            is_of_managed,
            is_private: plugin.is_private,
            profile: plugin.profile,
            ..Entry::default()
        };
        self.entries(&element.descend(&["dependencies", "dependency"]), &part(Role::OfPlugin));
        let mut configured = element.descend(&["configuration"]);
        configured.extend(element.descend(&["executions", "execution", "configuration"]));
        for configuration in configured {
            // Maven accepts any name for the items of a list.
            for paths in configuration.descend(&["annotationProcessorPaths"]) {
                let paths: Vec<_> = paths.children().collect();
                self.entries(&paths, &part(Role::Processor));
            }
        }
    }

    fn entries(&mut self, elements: &[Element<'_, '_>], like: &Entry) {
        for element in elements {
            let entry = self.entry(*element, like);
            self.pom.entries.extend(entry);
        }
    }

    fn entry(&mut self, element: Element<'_, '_>, like: &Entry) -> Option<Entry> {
        let entry = entry(element, like);
        if entry.is_none() {
            let message = format!("a {} without a group or an artifact", element.name());
            self.found.warn(element.line(), message);
        }
        entry
    }
}

fn entry(element: Element<'_, '_>, like: &Entry) -> Option<Entry> {
    let mut of = coordinates(element);
    if matches!(like.role, Role::Plugin | Role::Report | Role::Extension) {
        // Maven's own plugins need no group.
        of.group.get_or_insert_with(|| PLUGINS.to_owned());
    }
    let has = |name, text: &str| value(element, name).is_some_and(|value| value == text);
    (of.group.is_some() && of.artifact.is_some()).then(|| Entry {
        of,
        plugin: like.plugin.clone(),
        is_private: like.is_private || has("inherited", "false"),
        kind: value(element, "type").filter(|kind| kind != "jar"),
        classifier: value(element, "classifier"),
        scope: value(element, "scope"),
        optional: has("optional", "true"),
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
