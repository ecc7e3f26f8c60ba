//! Jars and the formats built on them, by "JAR File Specification" and Maven's "Maven Archiver".
//!
//! Input: a jar, war, ear, aar or plugin of Jenkins. Output: each module whose `pom.properties` the archive has: its own, and
//! those of modules that were copied into it; without any, the title and version of its manifest. Invariants: a name that the archive does
//! not state is not made up: without a group a package is `generic`.

use super::{
    ends_with,
    zip::{Entry, Zip},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{BTreeSet, HashMap};

const ENDINGS: [&str; 7] = [".jar", ".war", ".ear", ".aar", ".hpi", ".jpi", ".kar"];
const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// Reads jars.
#[derive(Debug)]
pub(super) struct Jar;

impl Parser for Jar {
    fn name(&self) -> &'static str {
        "jar"
    }

    fn wants(&self, path: &str) -> bool {
        ends_with(path, &ENDINGS)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Maven, Source::Archive);
        let Some(zip) = Zip::open(file, &mut found) else { return found.unreadable() };
        let entries = zip.entries(&mut found);
        let modules: BTreeSet<(String, String)> = entries
            .iter()
            .filter(|entry| is_properties(&entry.path))
            .filter_map(|entry| module(&properties(&zip.text(entry, &mut found)?)))
            .collect();
        for (name, version) in &modules {
            let version = Some(version.as_str());
            found.add(Declared { name, version, ..Declared::default() });
        }
        if modules.is_empty() {
            read_manifest(&zip, &entries, &mut found);
        }
        let nested = entries.iter().filter(|entry| ends_with(&entry.path, &ENDINGS)).count();
        if nested > 0 {
            found.note(0, format!("{nested} archives within this archive are not read"));
        }
        found.finish()
    }
}

/// `META-INF/maven/GROUP/ARTIFACT/pom.properties`, also below a folder of a war.
fn is_properties(path: &str) -> bool {
    path.ends_with("/pom.properties") && path.contains("META-INF/maven/")
}

/// The keys and values of a file of properties, by `java.util.Properties`; escapes do not occur in coordinates.
fn properties(text: &str) -> HashMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once(['=', ':']));
    pairs.map(|(key, value)| (key.trim(), value.trim())).collect()
}

/// The name and version of a module, unless a placeholder was never replaced.
fn module(properties: &HashMap<&str, &str>) -> Option<(String, String)> {
    let value = |key: &str| {
        properties.get(key).copied().filter(|value| !value.is_empty() && !value.contains('$'))
    };
    let (group, artifact) = (value("groupId")?, value("artifactId")?);
    Some((format!("{group}:{artifact}"), value("version")?.to_owned()))
}

/// Adds the package that the manifest names.
fn read_manifest(zip: &Zip<'_>, entries: &[Entry], found: &mut Collector<'_>) {
    let manifest = entries.iter().find(|entry| entry.path == MANIFEST);
    let text = manifest.and_then(|entry| zip.text(entry, found)).unwrap_or_default();
    let attributes = main_attributes(&text);
    let first = |keys: &[&str]| {
        let values = keys.iter().filter_map(|key| attributes.get(*key));
        values.map(|value| value.trim()).find(|value| !value.is_empty())
    };
    let name = first(&["bundle-symbolicname", "implementation-title", "automatic-module-name"]);
    let version = first(&["bundle-version", "implementation-version"]);
    let (Some(name), Some(version)) = (name, version) else {
        return found.warn_of_file("the archive does not state its name and version");
    };
    // Directives follow the name of a bundle.
    let name = name.split(';').next().unwrap_or(name);
    let declared = Declared { name, version: Some(version), ..Declared::default() };
    let group = attributes.get("implementation-vendor-id").map(|group| group.trim());
    match group.filter(|group| !group.is_empty() && attributes.contains_key("implementation-title"))
    {
        Some(group) if !name.contains([' ', ':']) => {
            let name = format!("{group}:{name}");
            found.add(Declared { name: &name, ..declared });
        }
        _ => found.add_of(Ecosystem::Generic, declared),
    }
}

/// The attributes of the main section, by name in lower case. A line that begins with a blank continues the one before it.
fn main_attributes(text: &str) -> HashMap<String, String> {
    let mut attributes: HashMap<String, String> = HashMap::new();
    let mut last = String::new();
    for line in text.lines().take_while(|line| !line.trim_end().is_empty()) {
        if let Some(more) = line.strip_prefix(' ') {
            if let Some(value) = attributes.get_mut(&last) {
                value.push_str(more.trim_end());
            }
        } else if let Some((key, value)) = line.split_once(':') {
            last = key.trim().to_ascii_lowercase();
            attributes.insert(last.clone(), value.trim().to_owned());
        }
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_section_ends_with_an_empty_line() {
        let text = "Manifest-Version: 1.0\r\nBundle-SymbolicName: a.b.\r\n c;singleton:=true\r\n\r\nName: x\r\nBundle-Version: 9\r\n";
        let attributes = main_attributes(text);
        assert_eq!(attributes["bundle-symbolicname"], "a.b.c;singleton:=true");
        assert!(!attributes.contains_key("bundle-version"));
    }

    #[test]
    fn modules_need_all_three_coordinates() {
        for (text, expected) in [
            ("#x\ngroupId=a\nartifactId = b\nversion:1\n", Some(("a:b", "1"))),
            ("groupId=a\nartifactId=b\n", None),
            ("groupId=a\nartifactId=b\nversion=${project.version}\n", None),
        ] {
            let read = module(&properties(text));
            let read = read.as_ref().map(|(name, version)| (name.as_str(), version.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
