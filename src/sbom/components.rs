//! The packages of a result, merged by what they are.
//!
//! What flows in: packages as the files declare them, one package as often as it is declared.
//! What flows out: each component once, with all its places. What must stay true: sorted by
//! purl; a range of a manifest whose lock file says which version it became is one component
//! with that version.

use crate::model::scan_result::{Package, Scope, Source};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One component, and what all its declarations say of it.
#[derive(Debug)]
pub(super) struct Component<'a> {
    /// The first declaration; name, version and ecosystem are equal in all.
    pub(super) package: &'a Package,
    pub(super) direct: bool,
    /// None where a declaration does not say what it is needed for.
    pub(super) scopes: BTreeSet<Option<Scope>>,
    pub(super) specifiers: BTreeSet<&'a str>,
    /// Where it is declared: file and line.
    pub(super) places: BTreeSet<(&'a str, Option<u32>)>,
}

/// Merges packages into components, by purl.
pub(super) fn of(packages: &[Package]) -> BTreeMap<&str, Component<'_>> {
    let locked = Locked::of(packages);
    let mut components: BTreeMap<&str, Component<'_>> = BTreeMap::new();
    for package in packages {
        let package_as_locked = locked.instead_of(package).unwrap_or(package);
        let component = components.entry(&package_as_locked.purl).or_insert_with(|| Component {
            package: package_as_locked,
            direct: false,
            scopes: BTreeSet::new(),
            specifiers: BTreeSet::new(),
            places: BTreeSet::new(),
        });
        component.direct |= package.direct == Some(true);
        component.scopes.insert(package.scope);
        component.specifiers.extend(package.specifier.as_deref());
        component.places.insert((&package.file, package.line));
    }
    components
}

/// What the lock files say the direct dependencies became: by folder and by the purl without a
/// version, which is in canonical form. None where there are several, so that it is not clear
/// which of them a range became.
struct Locked<'a>(HashMap<(&'a str, &'a str), Option<&'a Package>>);

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
    fn instead_of(&self, package: &Package) -> Option<&'a Package> {
        if package.version.is_some() || package.source == Source::Lockfile {
            return None;
        }
        let name = package.purl.as_str();
        upwards(folder_of(&package.file)).find_map(|folder| self.0.get(&(folder, name)).copied())?
    }
}

/// A purl up to its version. Every other `@` in a purl is percent-encoded.
fn unversioned(purl: &str) -> &str {
    purl.split('@').next().unwrap_or(purl)
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder, and the folders around it up to the root.
fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |it| (!it.is_empty()).then(|| folder_of(it)))
}
