//! Catalogs: ranges that a workspace defines once and its manifests name by `catalog:` or `catalog:name`, by
//! "Catalogs" of pnpm's manual, of Yarn's and of Bun's.
//!
//! Input: the catalogs of `pnpm-workspace.yaml`, `.yarnrc.yml` and `package.json`, or as a lock file repeats
//! them. Output: requirements with the range, and the real name, that the nearest catalog defines. Invariants:
//! what a catalog does not define keeps its text and gets a warning; a catalog never refers to another one.

use super::{
    rush::RushProjects,
    spec::{self, Spec},
};
use crate::ecosystem::{
    collect::{Collector, MAX_NAME, MAX_VERSION},
    facts::{Fact, Facts},
    json,
    path::{folder_of, upwards},
    step::Joining,
    text, yaml,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Package, Source, Warning},
};
use std::collections::{BTreeMap, HashSet};

/// The protocol of a requirement that a catalog defines.
const PROTOCOL: &str = "catalog:";

/// The name of the catalog that `catalog:` means.
const DEFAULT: &str = "default";

/// Warnings about requirements that no catalog defines.
const MAX_WARNINGS: usize = 100;

/// Who defines a catalog: of two files in a folder, a lock file only repeats the other one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Manifest,
    Lock,
}

/// The catalogs of one file.
#[derive(Debug)]
pub(super) struct Catalogs {
    folder: String,
    origin: Origin,
    /// The catalog, the name of a package, and its range.
    entries: Vec<(String, String, String)>,
}

/// All catalogs of a repository: folder, catalog and name, and the range.
#[derive(Debug, Default)]
struct Defined {
    folders: HashSet<String>,
    ranges: BTreeMap<(String, String, String), (Origin, String)>,
}

impl Fact for Catalogs {
    fn size(&self) -> usize {
        self.entries.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|defined: &mut Defined| {
            let Self { folder, origin, entries } = *self;
            for (catalog, name, range) in entries {
                let found = (origin, range);
                let place = defined.ranges.entry((folder.clone(), catalog, name));
                // Independent of the order of the files.
                let kept = place.or_insert_with(|| found.clone());
                if found < *kept {
                    *kept = found;
                }
            }
            defined.folders.insert(folder);
        });
    }
}

impl Catalogs {
    pub(super) fn new(file: &str, origin: Origin) -> Self {
        Self { folder: folder_of(file).to_owned(), origin, entries: Vec::new() }
    }

    /// Keeps the catalogs until all files have been read.
    pub(super) fn keep(self, found: &mut Collector<'_>) {
        if !self.entries.is_empty() {
            found.keep(self);
        }
    }

    /// Reads `catalog` and `catalogs` of a JSON file.
    pub(super) fn read_json(&mut self, of: &json::Node<'_>, found: &mut Collector<'_>) {
        self.read_members(of.get("catalog"), of.get("catalogs"), found);
    }

    /// Reads `globalCatalogs` of Rush's `pnpm-config.json`, which `globalCatalog` precedes.
    pub(super) fn read_rush(&mut self, of: &json::Node<'_>, found: &mut Collector<'_>) {
        self.read_members(of.get("globalCatalog"), of.get("globalCatalogs"), found);
    }

    fn read_members(
        &mut self,
        default: Option<&json::Node<'_>>,
        named: Option<&json::Node<'_>>,
        found: &mut Collector<'_>,
    ) {
        let named = named.and_then(json::Node::members).unwrap_or_default();
        let named = named.iter().map(|member| (member.key.as_ref(), &member.value));
        let default = default.map(|catalog| (DEFAULT, catalog));
        for (catalog, node) in default.into_iter().chain(named) {
            for entry in node.members().unwrap_or_default() {
                if let Some(range) = entry.value.as_str() {
                    self.add(catalog, &entry.key, range, found);
                }
            }
        }
    }

    /// Reads `catalog` and `catalogs` of a YAML file. In a lock file, an entry is a mapping with a `specifier`.
    pub(super) fn read_yaml(&mut self, of: yaml::Node<'_, '_>, found: &mut Collector<'_>) {
        // An alias may name a catalog again, under another name; it is read once.
        let mut seen = yaml::Seen::default();
        let named = of.get("catalogs").into_iter().flat_map(yaml::Node::members);
        let named = named.map(|member| (member.key, member.value));
        let default = of.get("catalog").map(|catalog| (DEFAULT, catalog));
        for (catalog, node) in default.into_iter().chain(named) {
            if !seen.is_new((), node) {
                continue;
            }
            for entry in node.members() {
                let range = entry.value.as_str().or_else(|| entry.value.text("specifier"));
                if let Some(range) = range {
                    self.add(catalog, entry.key, range, found);
                }
            }
        }
    }

    fn add(&mut self, catalog: &str, name: &str, range: &str, found: &mut Collector<'_>) {
        let is_usable = name.len() <= MAX_NAME && catalog.len() <= MAX_NAME;
        let size = catalog.len() + name.len() + range.len();
        if is_usable && range.len() <= MAX_VERSION && found.budget().copy(size) {
            self.entries.push((catalog.to_owned(), name.to_owned(), range.to_owned()));
        }
    }
}

/// The range that a lock file of pnpm has for a requirement of a catalog.
pub(super) fn range_in_yaml<'t>(
    lock: yaml::Node<'t, '_>,
    name: &str,
    requirement: &str,
) -> Option<&'t str> {
    let catalog = catalog_in(requirement)?;
    lock.get("catalogs")?.get(catalog)?.get(name)?.text("specifier")
}

/// The range that a lock file of Bun has for a requirement of a catalog.
pub(super) fn range_in_json<'n>(
    lock: &'n json::Node<'_>,
    name: &str,
    requirement: &str,
) -> Option<&'n str> {
    let catalog = catalog_in(requirement)?;
    let named = lock.get("catalogs").and_then(|catalogs| catalogs.get(catalog));
    let default = lock.get("catalog").filter(|_| catalog == DEFAULT);
    named.or(default)?.text(name)
}

/// The catalog that a requirement names.
fn catalog_in(requirement: &str) -> Option<&str> {
    let catalog = requirement.strip_prefix(PROTOCOL)?.trim();
    Some(if catalog.is_empty() { DEFAULT } else { catalog })
}

/// Gives requirements the ranges that their catalogs define.
pub(in crate::ecosystem) fn resolve_catalogs(joining: &mut Joining<'_>) {
    let defined: Defined = joining.facts.take();
    // The lock files need them later.
    let rush = joining.facts.with(|rush: &mut RushProjects| rush.clone());
    let Joining { packages, warnings, budget, .. } = joining;
    let mut unknown = Vec::new();
    packages.retain_mut(|package| {
        let Some(catalog) = catalog_of(package) else { return true };
        let catalog = catalog.to_owned();
        let own = folder_of(&package.file);
        let of_rush = rush.configuration_of(own).filter(|_| budget.read(own.len() + 1));
        let of_rush = of_rush.iter().flatten().map(String::as_str);
        let folder = of_rush
            .chain(upwards(own).take_while(|folder| budget.read(folder.len() + 1)))
            .find(|folder| defined.folders.contains(*folder));
        let range = folder.and_then(|folder| {
            let key = (folder.to_owned(), catalog.clone(), package.name.clone());
            defined.ranges.get(&key).map(|(_, range)| range.as_str())
        });
        match range.filter(|range| !range.starts_with(PROTOCOL)) {
            Some(range) if budget.copy(2 * range.len() + package.name.len()) => {
                define(package, range)
            }
            _ => {
                unknown.push(not_defined(package, &catalog));
                true
            }
        }
    });
    unknown.sort();
    unknown.truncate(MAX_WARNINGS);
    warnings.extend(unknown);
}

/// The catalog that a requirement of a manifest names.
fn catalog_of(package: &Package) -> Option<&str> {
    let is_required = package.source == Source::Manifest && package.ecosystem == Ecosystem::Npm;
    package.specifier.as_deref().filter(|_| is_required).and_then(catalog_in)
}

/// Replaces a requirement by its definition. False if that is a folder of the repository.
fn define(package: &mut Package, range: &str) -> bool {
    let Spec::Package { alias_of, version, specifier } = spec::read(&package.name, range) else {
        return false;
    };
    let name = alias_of.unwrap_or(&package.name).trim().to_owned();
    if let Some(purl) = Ecosystem::Npm.purl(&name, version) {
        package.version = version.map(str::to_owned);
        package.specifier = specifier.filter(|text| !text.is_empty()).map(str::to_owned);
        package.purl = purl;
        package.name = name;
    }
    true
}

fn not_defined(package: &Package, catalog: &str) -> Warning {
    let name = text::excerpt(&package.name);
    let message = format!("`{name}` is not defined in the catalog `{}`", text::excerpt(catalog));
    Warning { file: package.file.clone(), line: package.line, message }
}
