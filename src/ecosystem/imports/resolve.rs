//! Converts imports to packages, once all files have been read.
//!
//! Input: the imports of a repository, and the packages that its manifests and lock files declare. Output: a
//! package for each library that is imported but not declared, and a warning for each package of the JVM
//! whose library is unknown.
//!
//! Decisions. A library counts as declared by any file of the repository, under any name that provides it
//! (`opencv-python-headless`, a Spring Boot starter); conda packages also declare Python libraries. A Scala
//! library is compared without its Scala version. A JVM package that is in no table may belong to a declared
//! group (`com.acme.util` of `com.acme:anything`); otherwise it has no purl, because neither the group nor
//! the artifact can be derived from the package. A specifier of JavaScript states the registry and the range.

use super::{
    gather::{Imports, MAX_NAMES},
    javascript::GENERIC,
    libraries::{Artifact, Library, artifact, parts},
    location::Location,
};
use crate::{
    ecosystem::{
        npm::{Specifier, version_or_range},
        purl::{canonical_name, python_name},
        step::Joining,
    },
    model::{
        ecosystem::Ecosystem,
        scan_result::{Package, Source, Warning},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry},
    ops::Bound,
};

/// Unknown packages that get a warning each.
const MAX_UNKNOWN: usize = 50;
/// Segments by which unknown packages are grouped.
const SHOWN_SEGMENTS: usize = 3;

/// Adds the imported packages that no file declares.
pub(in crate::ecosystem) fn list_undeclared(joining: &mut Joining<'_>) {
    let imports: Imports = joining.facts.take();
    let (packages, warnings) = imports.resolve(joining.packages);
    joining.packages.extend(packages);
    joining.warnings.extend(warnings);
}

impl Imports {
    /// The imported packages that are not declared.
    pub(super) fn resolve(self, declared: &[Package]) -> (Vec<Package>, Vec<Warning>) {
        if self.python.is_empty() && self.jvm.is_empty() && self.javascript.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let specified = specified(self.javascript, declared);
        let declared = DeclaredPackages::of(declared);
        let mut found = specified;
        let mut warnings = Vec::new();
        for (name, (location, others)) in self.python {
            let is_declared =
                [name.as_str()].iter().chain(others).any(|name| declared.has_python(name));
            if !is_declared {
                found.extend(package(Ecosystem::PyPi, name, location));
            }
        }
        let mut libraries: BTreeMap<String, Location> = BTreeMap::new();
        let mut unknown: BTreeMap<String, Location> = BTreeMap::new();
        for (imported, (location, is_java)) in self.jvm {
            if self.packages.has(&imported) {
                continue;
            }
            match artifact(&imported) {
                Artifact::Library(library) if declared.has_library(&library) => {}
                Artifact::Library(library) => keep_first(&mut libraries, library.name, location),
                Artifact::Unknown if declared.has_group_of(&imported) => {}
                // Scala also imports from objects and values, whose names are not packages.
                Artifact::Unknown if is_java || is_reversed_domain(&imported) => {
                    let segments: Vec<_> = imported.split('.').take(SHOWN_SEGMENTS).collect();
                    keep_first(&mut unknown, segments.join("."), location);
                }
                Artifact::Platform | Artifact::Unknown => {}
            }
        }
        for (name, location) in libraries {
            found.extend(package(Ecosystem::Maven, name, location));
        }
        let omitted = unknown.len().saturating_sub(MAX_UNKNOWN);
        for (name, location) in unknown.into_iter().take(MAX_UNKNOWN) {
            let message = format!(
                "`{name}` is imported, but the package that provides it is unknown; it is not listed"
            );
            warnings.push(Warning { file: location.file, line: Some(location.line), message });
        }
        if omitted > 0 {
            let message = format!("{omitted} more imported packages are unknown");
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        if self.is_full {
            let message =
                format!("more than {MAX_NAMES} imports, or too long ones; the rest is omitted");
            warnings.push(Warning { file: String::new(), line: None, message });
        }
        (found, warnings)
    }
}

/// The packages of specifiers whose name no file declares.
fn specified(specifiers: BTreeMap<String, Location>, declared: &[Package]) -> Vec<Package> {
    if specifiers.is_empty() {
        return Vec::new();
    }
    let of_registry = |package: &&Package| {
        package.ecosystem == Ecosystem::Npm || package.ecosystem == Ecosystem::Jsr
    };
    let declared: HashSet<String> =
        declared.iter().filter(of_registry).map(canonical_name).collect();
    let read = |(specifier, location): (String, Location)| {
        let (ecosystem, name, range) = if let Some(module) = specifier.strip_prefix(GENERIC) {
            let (name, range) = module.rsplit_once('@')?;
            (Ecosystem::Generic, name, range)
        } else {
            let Specifier { ecosystem, name, range } = Specifier::read(&specifier)?;
            (ecosystem, name, range)
        };
        let (version, range) = match ecosystem {
            Ecosystem::Generic => (Some(range), None),
            _ => version_or_range(range),
        };
        let mut package = package(ecosystem, name.to_owned(), location)?;
        if declared.contains(&package.purl) {
            return None;
        }
        package.purl = ecosystem.purl(name, version)?;
        package.version = version.map(str::to_owned);
        package.specifier = range.filter(|range| !range.is_empty()).map(str::to_owned);
        Some(package)
    };
    specifiers.into_iter().filter_map(read).collect()
}

fn keep_first(places: &mut BTreeMap<String, Location>, name: String, location: Location) {
    match places.entry(name) {
        Entry::Vacant(entry) => drop(entry.insert(location)),
        Entry::Occupied(mut entry) if location < *entry.get() => {
            entry.insert(location);
        }
        Entry::Occupied(_) => {}
    }
}

fn package(ecosystem: Ecosystem, name: String, location: Location) -> Option<Package> {
    Some(Package {
        purl: ecosystem.purl(&name, None)?,
        name,
        version: None,
        specifier: None,
        ecosystem: ecosystem.into(),
        scope: Some(location.scope()),
        file: location.file,
        line: Some(location.line),
        direct: Some(true),
        source: Source::Import,
        requires: Vec::new(),
        resolved: None,
        licenses: Vec::new(),
        hashes: Vec::new(),
        managed_by: Vec::new(),
        resolved_from: None,
    })
}

/// Whether a package begins like a reversed domain name.
fn is_reversed_domain(package: &str) -> bool {
    let top = package.split('.').next().unwrap_or(package);
    package.contains('.')
        && (top.len() == 2 || matches!(top, "com" | "org" | "net" | "dev" | "edu" | "gov" | "app"))
        && top.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The packages that manifests and lock files declare.
struct DeclaredPackages {
    python: HashSet<String>,
    /// `group:artifact`, without Scala versions.
    maven: BTreeSet<String>,
    groups: HashSet<String>,
}

impl DeclaredPackages {
    fn of(packages: &[Package]) -> Self {
        let of = |ecosystem: Ecosystem| {
            packages.iter().filter(move |package| package.ecosystem == ecosystem)
        };
        let python = of(Ecosystem::PyPi).chain(of(Ecosystem::Conda));
        let group =
            |package: &Package| package.name.split(':').next().unwrap_or_default().to_owned();
        Self {
            python: python.map(|package| python_name(&package.name)).collect(),
            // A parent pom is no library, but it may be named like one: `spring-boot-starter-parent`.
            maven: of(Ecosystem::Maven)
                .filter(|package| !package.name.ends_with("-parent"))
                .map(|package| without_scala_version(&package.name).to_owned())
                .collect(),
            groups: of(Ecosystem::Maven).map(group).collect(),
        }
    }

    fn has_python(&self, name: &str) -> bool {
        self.python.contains(&python_name(name))
    }

    fn has_library(&self, library: &Library) -> bool {
        [library.name.as_str()].iter().chain(library.others).any(|name| {
            match name.strip_suffix('*') {
                Some(begin) => {
                    let from = (Bound::Included(begin), Bound::Unbounded);
                    self.maven
                        .range::<str, _>(from)
                        .next()
                        .is_some_and(|requirement| requirement.starts_with(begin))
                }
                None => self.maven.contains(*name),
            }
        })
    }

    fn has_group_of(&self, package: &str) -> bool {
        parts(package).any(|group| self.groups.contains(group))
    }
}

/// Removes the Scala version: `org.typelevel:cats-core_2.13` and `org.typelevel:cats-core_sjs1_3` become
/// `org.typelevel:cats-core`.
fn without_scala_version(name: &str) -> &str {
    let is_version = |suffix: &str| {
        ["2.10", "2.11", "2.12", "2.13", "3"].iter().any(|version| {
            suffix
                .strip_prefix(version)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let Some((name, _)) = name.rsplit_once('_').filter(|(_, version)| is_version(version)) else {
        return name;
    };
    let is_platform =
        |platform: &str| platform.starts_with("sjs") || platform.starts_with("native");
    name.rsplit_once('_').filter(|(_, suffix)| is_platform(suffix)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests;
