//! `gradle/libs.versions.toml` and other version catalogs, by "Version Catalogs" of Gradle's
//! manual.
//!
//! Input: `[versions]`, `[libraries]` and `[plugins]`. Output: each library as `group:artifact`, each
//! plugin as its marker `id:id.gradle.plugin`, and all of them by the names that scripts use. Invariants: a
//! bundle is a list of libraries and not a package; `direct` is unknown, because a catalog does not state
//! whether a build uses an entry.
//!
//! Decision. Of a rich version the preferred one wins, then the strict, then the required.

use super::{
    names::accessor,
    script::{GradleFile, Library},
};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::{DeTable, DeValue};

/// Libraries in all bundles of one catalog.
const MAX_OF_BUNDLES: usize = 10_000;

/// Longest version in bytes.
const LONGEST_VERSION: usize = 300;

/// Reads `*.versions.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct VersionCatalog;

impl Parser for VersionCatalog {
    fn name(&self) -> &'static str {
        "version-catalog"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).ends_with(".versions.toml")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let mut gradle = GradleFile { file: file.path.to_owned(), ..GradleFile::default() };
        let findings = toml::read(file.bytes, found, |document, found| {
            walk(document, found, &mut gradle);
        });
        Findings { fact: Some(Box::new(gradle)), ..findings }
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>, gradle: &mut GradleFile) {
    let versions = toml::table(&document.root, "versions");
    let catalog = file_name(&gradle.file).trim_end_matches(".versions.toml").to_owned();
    for (alias, value) in versions.into_iter().flatten() {
        if let Some(version) = of_value(value.get_ref()) {
            let name = format!("{catalog}.versions.{}", accessor(alias.get_ref()));
            gradle.constants.define(&name, version);
        }
    }
    for (key, scope) in [("libraries", None), ("plugins", Some(Scope::Build))] {
        for (alias, value) in toml::table(&document.root, key).into_iter().flatten() {
            let line = document.line(alias);
            let entry =
                if key == "plugins" { plugin(value.get_ref()) } else { library(value.get_ref()) };
            let Some((name, version)) = entry else {
                let alias = text::excerpt(alias.get_ref());
                found.warn(line, format!("`{alias}` does not name a module"));
                continue;
            };
            let version = match version {
                Version::None => None,
                Version::Text(text) => Some(text),
                Version::Value(value) => of_value(value),
                Version::Reference(reference) => {
                    let value = versions.and_then(|version| version.get(reference));
                    if value.is_none() {
                        let (name, reference) = (text::excerpt(&name), text::excerpt(reference));
                        found.warn(line, format!("`{name}`: undefined version `{reference}`"));
                    }
                    value.and_then(|value| of_value(value.get_ref()))
                }
            };
            // Thousands of libraries may share one version.
            let is_long = version.is_some_and(|version| version.len() > LONGEST_VERSION);
            if is_long {
                let name = text::excerpt(&name);
                let message = format!(
                    "`{name}`: the version is longer than {LONGEST_VERSION} bytes and is ignored"
                );
                found.warn(line, message);
            }
            let version = version.filter(|_| !is_long);
            let is_range = |version: &&str| {
                version.contains(['[', '(', ',', '+']) || version.starts_with("latest.")
            };
            let exact = version.filter(|version| !is_range(version));
            let specifier = version.filter(|_| exact.is_none());
            let declared =
                Declared { name: &name, version: exact, specifier, line, ..Declared::default() };
            found.add(Declared { scope, ..declared });
            let prefix = if key == "plugins" { "plugins." } else { "" };
            let path = format!("{prefix}{}", accessor(alias.get_ref()));
            let (name, version) = (name.into(), exact.map(Into::into));
            let range = specifier.map(Into::into);
            gradle.catalog.insert(path, vec![Library { name, version, range }]);
        }
    }
    bundles(document, gradle, found);
}

/// Reads bundles: `web = ["spring-web", "jackson"]`.
fn bundles(document: &Document<'_>, gradle: &mut GradleFile, found: &Collector<'_>) {
    let mut libraries = MAX_OF_BUNDLES;
    for (name, aliases) in toml::table(&document.root, "bundles").into_iter().flatten() {
        let aliases = aliases.get_ref().as_array().into_iter().flatten();
        let known =
            aliases.filter_map(|alias| gradle.catalog.get(&accessor(alias.get_ref().as_str()?)));
        let known = known.flatten().take_while(|_| found.budget().visit());
        let bundle: Vec<_> = known.take(libraries).cloned().collect();
        libraries -= bundle.len();
        gradle.catalog.insert(format!("bundles.{}", accessor(name.get_ref())), bundle);
    }
}

/// The version of an entry.
#[derive(Clone, Copy)]
enum Version<'t, 'i> {
    None,
    Text(&'t str),
    Value(&'t DeValue<'i>),
    /// A key of `[versions]`.
    Reference(&'t str),
}

/// `"group:artifact:version"`, or a table with `module`, or with `group` and `name`.
fn library<'t, 'i>(value: &'t DeValue<'i>) -> Option<(String, Version<'t, 'i>)> {
    match value {
        DeValue::String(notation) => {
            let mut parts = notation.splitn(3, ':');
            let name = format!("{}:{}", parts.next()?, parts.next()?);
            Some((name, parts.next().map_or(Version::None, Version::Text)))
        }
        DeValue::Table(table) => {
            let parts = || Some((toml::string(table, "group")?, toml::string(table, "name")?));
            let module = toml::string(table, "module").map(str::to_owned);
            let name = module.or_else(|| parts().map(|(group, name)| format!("{group}:{name}")))?;
            Some((name, version(table)))
        }
        _ => None,
    }
}

/// `"id:version"`, or a table with `id`.
fn plugin<'t, 'i>(value: &'t DeValue<'i>) -> Option<(String, Version<'t, 'i>)> {
    let (id, version) = match value {
        DeValue::String(notation) => {
            let (id, version) = notation.split_once(':')?;
            (id, Version::Text(version))
        }
        DeValue::Table(table) => (toml::string(table, "id")?, version(table)),
        _ => return None,
    };
    Some((format!("{id}:{id}.gradle.plugin"), version))
}

fn version<'t, 'i>(table: &'t DeTable<'i>) -> Version<'t, 'i> {
    let Some(value) = table.get("version").map(::toml::Spanned::get_ref) else {
        return Version::None;
    };
    let reference = value.as_table().and_then(|table| toml::string(table, "ref"));
    reference.map_or(Version::Value(value), Version::Reference)
}

fn of_value<'t>(value: &'t DeValue<'_>) -> Option<&'t str> {
    let rich =
        |table| ["prefer", "strictly", "require"].iter().find_map(|key| toml::string(table, key));
    value.as_str().or_else(|| value.as_table().and_then(rich))
}
