//! The variables of Ivy files, which settings of Ivy and builds of Ant define.
//!
//! Input: `ivysettings*.xml` (`<property name value>`), `build.xml` (the same, by "Property" of Ant's manual), and files of
//! properties with usual names (`version.properties`, `ivy/libraries.properties`). Output: the names and their values; and
//! the modules that a `build.xml` resolves without a file (`<ivy:cachepath inline="true" …>`).
//!
//! Decisions. An Ivy file knows the names of its own folder and of the folders above; a folder `ivy` belongs to the folder
//! above it. Invariants: a name with different values in one folder has no value; names and values are bounded.

use super::ivy::{IvyModule, Required};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    budget::Budget,
    collect::Collector,
    expression,
    facts::{self, Fact, Facts},
    path::{file_name, folder_of, upwards},
    text,
    xml::{self, Element},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Longest name and value in bytes.
const MAX_VALUE: usize = 300;

/// Names of one file.
const MAX_NAMES: usize = 10_000;

/// Bytes of an average name and value.
const USUAL: usize = 64;

/// Parts of the names of files of properties that define versions.
const STEMS: [&str; 5] = ["version", "ivy", "librar", "dependenc", "build"];

/// Reads the files that define variables of Ivy.
#[derive(Debug)]
pub(in crate::ecosystem) struct IvyNames;

impl Parser for IvyNames {
    fn name(&self) -> &'static str {
        "ivy-names"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        if let Some(stem) = file.strip_suffix(".properties") {
            return STEMS.iter().any(|part| stem.contains(part));
        }
        file == "build.xml" || (file.starts_with("ivysettings") && file.ends_with(".xml"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let mut names = Names { folder: home(file.path).to_owned(), all: Vec::new() };
        let mut all: Vec<Box<dyn Fact>> = Vec::new();
        if file.path.ends_with(".properties") {
            for line in text::decode(file.bytes).lines() {
                names.property(line, found.budget());
            }
        } else {
            let text = xml::decode(file.bytes);
            let tree = xml::parse(&text, found.budget());
            for (line, message) in &tree.errors {
                found.warn(*line, message);
            }
            let Some(root) = tree.root() else { return found.finish() };
            let mut module = IvyModule::new(file.path);
            walk(root, &mut names, &mut module);
            if !module.required.is_empty() {
                all.push(Box::new(module));
            }
        }
        if !names.all.is_empty() {
            all.push(Box::new(names));
        }
        Findings { fact: facts::together(all), ..found.finish() }
    }
}

/// The folder to which a file belongs.
fn home(path: &str) -> &str {
    let folder = folder_of(path);
    if file_name(folder) == "ivy" { folder_of(folder) } else { folder }
}

/// Reads the properties, and the modules that are resolved without a file, in all elements.
fn walk(root: Element<'_, '_>, names: &mut Names, module: &mut IvyModule) {
    let mut level = vec![root];
    while !level.is_empty() {
        let mut below = Vec::new();
        for element in level {
            let attribute = |name: &str| {
                let text = element.attribute(name)?;
                (!text.is_empty() && text.len() <= MAX_VALUE).then(|| text.into_owned())
            };
            match element.name() {
                "property" => {
                    if let (Some(name), Some(value)) = (attribute("name"), attribute("value")) {
                        names.add(&name, &value);
                    }
                }
                "cachepath" | "cachefileset" | "retrieve" | "resolve" => {
                    let parts = [attribute("organisation"), attribute("module")];
                    let is_inline = attribute("inline").as_deref() == Some("true");
                    if let ([Some(organisation), Some(name)], true) = (parts, is_inline) {
                        let (revision, line) = (attribute("revision"), element.line());
                        let (constraint, scope) = (None, Some(Scope::Build));
                        module.required.push(Required {
                            organisation,
                            name,
                            revision,
                            constraint,
                            scope,
                            line,
                        });
                    }
                }
                _ => {}
            }
            below.extend(element.children());
        }
        level = below;
    }
}

/// The names that one file defines.
#[derive(Debug)]
pub(super) struct Names {
    folder: String,
    all: Vec<(String, String)>,
}

impl Names {
    fn add(&mut self, name: &str, value: &str) {
        let is_usable = |text: &str| !text.is_empty() && text.len() <= MAX_VALUE;
        if is_usable(name) && is_usable(value) && self.all.len() < MAX_NAMES {
            self.all.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Reads a line of a file of properties, by `java.util.Properties` as far as versions need it.
    fn property(&mut self, line: &str, budget: &Budget) {
        let line = line.trim();
        if line.starts_with(['#', '!']) || !budget.visit() {
            return;
        }
        if let Some((name, value)) = line.split_once(['=', ':']) {
            self.add(name.trim(), value.trim());
        }
    }
}

impl Fact for Names {
    fn size(&self) -> usize {
        let of = |(name, value): &(String, String)| 1 + (name.len() + value.len()) / USUAL;
        1 + self.all.iter().map(of).sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|defined: &mut Defined| defined.add(*self));
    }
}

/// The names of all files, by folder. None for a name with different values.
#[derive(Debug, Default)]
pub(super) struct Defined {
    folders: HashMap<String, HashMap<String, Option<String>>>,
}

impl Defined {
    fn add(&mut self, names: Names) {
        let folder = self.folders.entry(names.folder).or_default();
        for (name, value) in names.all {
            folder
                .entry(name)
                .and_modify(|known| *known = known.take().filter(|known| *known == value))
                .or_insert(Some(value));
        }
    }

    /// Expands the variables of a text in an Ivy file. None if one of them is unknown.
    pub(super) fn expand(&self, file: &str, text: &str, budget: &Budget) -> Option<String> {
        let get = |name: &str| {
            let mut around = upwards(home(file)).take_while(|folder| budget.read(folder.len() + 8));
            around.find_map(|folder| self.folders.get(folder)?.get(name))?.as_deref()
        };
        expression::expand(text, &get).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_names_are_wanted() {
        for path in [
            "ivysettings.xml",
            "ivy/ivysettings-ci.xml",
            "build.xml",
            "version.properties",
            "ivy/libraries.properties",
            "build.properties",
        ] {
            assert!(IvyNames.wants(path), "{path}");
        }
        for path in
            ["messages_de.properties", "gradle.properties", "settings.xml", "a/build.xml.in"]
        {
            assert!(!IvyNames.wants(path), "{path}");
        }
    }

    /// Fails if a name of another folder counts, or one that has several values.
    #[test]
    fn names_of_the_folder_and_above_count() {
        let mut facts = Facts::default();
        for (path, text) in [
            ("version.properties", "kite.version=4.2\n# reel=0\nreel = 2.1\ntail: 3.0\n"),
            (
                "web/ivy/ivysettings.xml",
                "<ivysettings><property name='reel' value='2.2'/></ivysettings>",
            ),
            (
                "web/build.xml",
                "<project><target><property name='tail' value='${reel}.1'/></target></project>",
            ),
            ("other/build.properties", "spar=5\n"),
            ("web/build.properties", "twice=1\n"),
            ("web/dependencies.properties", "twice=2\n"),
        ] {
            let file = SourceFile::alone(path, text.as_bytes());
            IvyNames.parse(file).fact.unwrap().gather(&mut facts);
        }
        let defined: Defined = facts.take();
        let expand = |text: &str| defined.expand("web/ivy.xml", text, Budget::alone(1 << 20));
        for (text, expected) in [
            ("${kite.version}", Some("4.2")),
            ("${reel}", Some("2.2")),
            ("a-${tail}", Some("a-2.2.1")),
            ("${spar}", None),
            ("${twice}", None),
        ] {
            assert_eq!(expand(text).as_deref(), expected, "{text}");
        }
    }
}
