//! `gradle/libs.versions.toml` and other version catalogs, by "The version catalog TOML file format" of Gradle's
//! manual.
//!
//! Input: `[versions]`, `[libraries]`, `[plugins]` and `[bundles]`. Output: the catalog, for
//! [`catalogs`](super::catalogs): each library as `group:artifact`, each plugin as its marker
//! `id:id.gradle.plugin`. Invariants: a file of another name only counts if the settings import it, and otherwise
//! gives no warnings.

use super::{
    catalog_parts::{Catalog, Entry, EntryVersion},
    script::GradleFile,
    statement::NotationKind,
    version::{LONGEST_VERSION, Rich},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::Collector,
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use ::toml::de::{DeTable, DeValue};

/// Reads `*.versions.toml`, and TOML files that settings are likely to import.
#[derive(Debug)]
pub(in crate::ecosystem) struct VersionCatalog;

impl Parser for VersionCatalog {
    fn name(&self) -> &'static str {
        "version-catalog"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        file.ends_with(".toml") && (file.ends_with(".versions.toml") || may_be_imported(path, file))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let name = file.file_name();
        let mut catalog = Catalog {
            name: name.strip_suffix(".versions.toml").unwrap_or(name).to_owned(),
            ..Catalog::default()
        };
        let mut findings = toml::read(file.bytes, found, |document, found| {
            walk(document, found, &mut catalog);
        });
        let mut gradle = GradleFile { file: file.path.to_owned(), ..GradleFile::default() };
        gradle.catalogs.push(catalog);
        if !name.ends_with(".versions.toml") && name.ends_with(".toml") {
            gradle.withheld = std::mem::take(&mut findings.warnings);
            findings.unreadable = false;
        }
        Findings { fact: Some(Box::new(gradle)), ..findings }
    }
}

/// Whether settings may import a file: their scripts are not known yet, so the folder and the name decide.
fn may_be_imported(path: &str, file: &str) -> bool {
    path.rsplit('/').nth(1) == Some("gradle")
        || ["libs", "catalog", "versions", "deps", "dependencies"]
            .iter()
            .any(|part| file.contains(part))
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>, catalog: &mut Catalog) {
    for (alias, value) in toml::table(&document.root, "versions").into_iter().flatten() {
        if let Some(rich) = rich(value.get_ref()) {
            check(alias.get_ref(), &rich, document.line(alias), found);
            catalog.versions.push((alias.get_ref().to_string(), rich));
        }
    }
    for key in ["libraries", "plugins"] {
        for (alias, value) in toml::table(&document.root, key).into_iter().flatten() {
            let line = document.line(alias);
            let is_plugin = key == "plugins";
            let entry = if is_plugin { plugin(value.get_ref()) } else { library(value.get_ref()) };
            let Some((kind, version)) = entry else {
                let alias = text::excerpt(alias.get_ref());
                found.warn(line, format!("`{alias}` does not name a module"));
                continue;
            };
            if let EntryVersion::Rich(rich) = &version {
                check(alias.get_ref(), rich, line, found);
            }
            let alias = alias.get_ref().to_string();
            catalog.entries.push(Entry { alias, kind, version, is_plugin, line });
        }
    }
    for (name, aliases) in toml::table(&document.root, "bundles").into_iter().flatten() {
        let aliases = aliases.get_ref().as_array().into_iter().flatten();
        let aliases = aliases.filter_map(|alias| alias.get_ref().as_str().map(str::to_owned));
        catalog.bundles.push((name.get_ref().to_string(), aliases.collect()));
    }
}

/// Warns of a version that is too long to be kept.
fn check(alias: &str, rich: &Rich, line: u32, found: &mut Collector<'_>) {
    if rich.is_empty() {
        let alias = text::excerpt(alias);
        let message =
            format!("`{alias}`: the version is longer than {LONGEST_VERSION} bytes and is ignored");
        found.warn(line, message);
    }
}

/// `"group:artifact:version"`, or a table with `module`, or with `group` and `name`.
fn library(value: &DeValue<'_>) -> Option<(NotationKind, EntryVersion)> {
    match value {
        DeValue::String(notation) => {
            let mut parts = notation.splitn(3, ':');
            let kind = parts_of(parts.next()?, parts.next()?);
            let version = parts.next().map(Rich::of_text);
            Some((kind, version.map_or(EntryVersion::None, EntryVersion::Rich)))
        }
        DeValue::Table(table) => {
            let module = toml::string(table, "module");
            let module = module.map(|module| module.split_once(':').unwrap_or((module, "")));
            let parts = || Some((toml::string(table, "group")?, toml::string(table, "name")?));
            let (group, name) = module.or_else(parts)?;
            Some((parts_of(group, name), version(table)))
        }
        _ => None,
    }
}

/// `"id:version"`, or a table with `id`.
fn plugin(value: &DeValue<'_>) -> Option<(NotationKind, EntryVersion)> {
    let (id, version) = match value {
        DeValue::String(notation) => {
            let (id, version) = notation.split_once(':')?;
            (id, EntryVersion::Rich(Rich::of_text(version)))
        }
        DeValue::Table(table) => (toml::string(table, "id")?, version(table)),
        _ => return None,
    };
    Some((NotationKind::marker(id), version))
}

fn parts_of(group: &str, name: &str) -> NotationKind {
    NotationKind::Parts { group: group.to_owned(), name: name.to_owned(), version: None }
}

fn version(table: &DeTable<'_>) -> EntryVersion {
    let Some(value) = table.get("version").map(::toml::Spanned::get_ref) else {
        return EntryVersion::None;
    };
    match value.as_table().and_then(|table| toml::string(table, "ref")) {
        Some(alias) => EntryVersion::Reference(alias.to_owned()),
        None => rich(value).map_or(EntryVersion::None, EntryVersion::Rich),
    }
}

fn rich(value: &DeValue<'_>) -> Option<Rich> {
    if let Some(text) = value.as_str() {
        return Some(Rich::of_text(text));
    }
    let table = value.as_table()?;
    let part = |key| toml::string(table, key).and_then(|text| Rich::of_text(text).fixed);
    let rich =
        Rich { fixed: part("strictly").or_else(|| part("require")), preferred: part("prefer") };
    Some(rich).filter(|rich| !rich.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_are_wanted() {
        for path in [
            "gradle/libs.versions.toml",
            "a/b.versions.toml",
            "gradle/tools.toml",
            "a/gradle/tools.toml",
            "catalogs/test-libs.toml",
        ] {
            assert!(VersionCatalog.wants(path), "{path}");
        }
        for path in ["rustfmt.toml", "Deps.toml", "gradle.properties", "gradle/verification.xml"] {
            assert!(!VersionCatalog.wants(path), "{path}");
        }
    }
}
