//! The packages of results, merged by what they are.
//!
//! What flows in: results of one repository or several, with packages as the files declare them, one
//! package as often as it is declared. What flows out: each component once, with all its places. What
//! must stay true: sorted by purl; a range of a manifest whose lock file says which version it became
//! is one component with that version; a component requires nothing that is none.

use crate::model::scan_result::{Package, ScanResult, Scope, Source};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// One component, and what all its declarations say of it.
#[derive(Debug)]
pub(super) struct Component<'a> {
    /// The first declaration; name, version and ecosystem are equal in all.
    pub(super) package: &'a Package,
    /// Which of the results ask for it themselves.
    pub(super) direct: BTreeSet<usize>,
    /// None where a declaration does not say what it is needed for.
    pub(super) scopes: BTreeSet<Option<Scope>>,
    pub(super) specifiers: BTreeSet<&'a str>,
    pub(super) places: BTreeSet<Place<'a>>,
    /// The purls of what it requires, as far as lock files tell.
    pub(super) requires: BTreeSet<&'a str>,
}

/// Where a component is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    /// The place among the results.
    pub(super) result: usize,
    pub(super) file: &'a str,
    pub(super) line: Option<u32>,
}

/// Merges the packages of results into components, by purl.
pub(super) fn of<'a>(results: &[&'a ScanResult]) -> BTreeMap<&'a str, Component<'a>> {
    let mut components: BTreeMap<&str, Component<'_>> = BTreeMap::new();
    for (at, result) in results.iter().enumerate() {
        let locked = Locked::of(&result.packages);
        for package in &result.packages {
            let as_locked = locked.instead_of(package).unwrap_or(package);
            let component = components.entry(&as_locked.purl).or_insert_with(|| Component {
                package: as_locked,
                direct: BTreeSet::new(),
                scopes: BTreeSet::new(),
                specifiers: BTreeSet::new(),
                places: BTreeSet::new(),
                requires: BTreeSet::new(),
            });
            if package.direct == Some(true) {
                component.direct.insert(at);
            }
            component.scopes.insert(package.scope);
            component.specifiers.extend(package.specifier.as_deref());
            component.places.insert(Place { result: at, file: &package.file, line: package.line });
            component.requires.extend(package.requires.iter().map(String::as_str));
        }
    }
    let purls: BTreeSet<&str> = components.keys().copied().collect();
    for (purl, component) in &mut components {
        component.requires.retain(|it| it != purl && purls.contains(it));
    }
    components
}

/// What the lock files say the direct dependencies became: by folder and by the purl without a
/// version, which is in canonical form. None where there are several, so that it is not clear
/// which of them a range became.
struct Locked<'a>(HashMap<(&'a str, Cow<'a, str>), Option<&'a Package>>);

impl<'a> Locked<'a> {
    fn of(packages: &'a [Package]) -> Self {
        let mut locked: HashMap<_, Option<&Package>> = HashMap::new();
        for package in packages.iter().filter(|it| {
            it.source == Source::Lockfile && it.direct == Some(true) && it.version.is_some()
        }) {
            locked
                .entry((folder_of(&package.file), unversioned(&package.purl)))
                .and_modify(|it| *it = it.filter(|it| it.purl == package.purl))
                .or_insert(Some(package));
        }
        Self(locked)
    }

    /// The nearest lock's answer to a declaration without a version.
    fn instead_of(&self, package: &'a Package) -> Option<&'a Package> {
        if package.version.is_some() || package.source == Source::Lockfile {
            return None;
        }
        let name = Cow::Borrowed(package.purl.as_str());
        upwards(folder_of(&package.file))
            .find_map(|folder| self.0.get(&(folder, name.clone())).copied())?
    }
}

/// A purl without its version. Every other `@`, `?` and `#` in a purl is percent-encoded.
fn unversioned(purl: &str) -> Cow<'_, str> {
    let Some((before, behind)) = purl.split_once('@') else { return Cow::Borrowed(purl) };
    match behind.find(['?', '#']).and_then(|at| behind.get(at..)) {
        Some(rest) => Cow::Owned(format!("{before}{rest}")),
        None => Cow::Borrowed(before),
    }
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder, and the folders around it up to the root.
fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |it| (!it.is_empty()).then(|| folder_of(it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purl_loses_nothing_but_its_version() {
        for (purl, expected) in [
            ("pkg:npm/%40a/b@1.0.0", "pkg:npm/%40a/b"),
            ("pkg:npm/b", "pkg:npm/b"),
            ("pkg:julia/A@1?uuid=x", "pkg:julia/A?uuid=x"),
            ("pkg:cocoapods/A@1#B", "pkg:cocoapods/A#B"),
        ] {
            assert_eq!(unversioned(purl), expected);
        }
    }
}
