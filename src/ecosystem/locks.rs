//! Completes lock files from the manifests beside them: which packages are direct, and their scopes.
//!
//! Input: the packages of a repository, and the [resolutions](super::resolution) of its lock files. Output: the
//! packages of its lock files with `direct` and `scope`; the requirements of its manifests with the package
//! that a lock file of several versions chose for them. Invariants: what a lock file itself states is never
//! overwritten; only manifests of the same tool count, by the [`Pairing`] of each format; of several versions of
//! a package, one is direct only where a requirement leads to it, if the lock file states where they lead.

use super::{
    budget::Budget,
    cargo, deep_parser_for,
    npm::RushProjects,
    parser::Pairing,
    parser_for,
    path::{folder_of, upwards},
    purl::canonical_name,
    resolution::{Requirement, Resolved, rush_root},
    source_parser_for,
    step::Joining,
};
use crate::model::{
    ecosystem::{AnyEcosystem, Ecosystem},
    scan_result::{Package, Scope, Source},
};
use std::collections::{BTreeSet, HashMap};

/// The ecosystems in which the members of a workspace share the lock file of the nearest folder above that
/// has one, or whose repository of Rush has one.
const SHARED_LOCKS: [Ecosystem; 4] =
    [Ecosystem::Cargo, Ecosystem::Npm, Ecosystem::Jsr, Ecosystem::Hex];

/// A Perl manifest names modules; the distribution of a module cannot be derived from its name.
const NAMES_MODULES: Ecosystem = Ecosystem::Cpan;

/// Completes the packages of all lock files.
pub(super) fn complete(joining: &mut Joining<'_>) {
    let resolved: Resolved = joining.facts.take();
    let rush: RushProjects = joining.facts.take();
    let Joining { packages, budget, .. } = joining;
    let (manifests, chosen) = Manifests::of(packages, &resolved, &rush, budget);
    let mut pairings = Pairings::default();
    for package in packages.iter_mut().filter(|package| package.source == Source::Lockfile) {
        manifests.complete(package, &mut pairings);
    }
    for (at, purl) in chosen {
        if let Some(package) = packages.get_mut(at).filter(|_| budget.copy(purl.len())) {
            package.resolved = Some(purl);
        }
    }
}

/// The requirements of all manifests, by folder and ecosystem.
struct Manifests<'r> {
    resolved: &'r Resolved,
    /// The scope of each requirement, by its canonical name.
    by_folder: HashMap<Key, HashMap<String, Option<Scope>>>,
    /// The same by lock file and purl, for names that occur in the lock file with several versions.
    by_purl: HashMap<String, HashMap<String, Option<Scope>>>,
}

/// Folder, ecosystem, and the tool that a file belongs to.
type Key = (String, AnyEcosystem, &'static str);

/// Requirements, by their place among the packages, and the packages that were chosen for them.
type Chosen = Vec<(usize, String)>;

impl<'r> Manifests<'r> {
    fn of<'p>(
        packages: &'p [Package],
        resolved: &'r Resolved,
        rush: &RushProjects,
        budget: &Budget,
    ) -> (Self, Chosen) {
        let mut locks: HashMap<(&'p str, &'p AnyEcosystem), BTreeSet<&str>> = HashMap::new();
        for package in packages.iter().filter(|package| package.source == Source::Lockfile) {
            let key = (folder_of(&package.file), &package.ecosystem);
            let files = locks.entry(key).or_default();
            // The packages of a file follow each other.
            if files.last() != Some(&package.file.as_str()) {
                files.insert(&package.file);
            }
        }
        // The lock file of a subspace of Rush is that of the projects of the subspace.
        let of_rush = |key: &(&'p str, &'p AnyEcosystem)| {
            let (root, subspace) = rush_root(key.0)?;
            let is_of_all = subspace.is_none() || rush.is_empty();
            is_of_all.then_some(((root, key.1), key.0))
        };
        let of_rush: HashMap<(&str, &AnyEcosystem), &str> =
            locks.keys().filter_map(of_rush).collect();
        let of_subspace = |key: &(&'p str, &'p AnyEcosystem)| {
            let (root, subspace) = rush_root(key.0)?;
            Some(((root, subspace?, key.1), key.0))
        };
        let of_subspace: HashMap<(&str, &str, &AnyEcosystem), &str> =
            locks.keys().filter_map(of_subspace).collect();
        let mut manifests = Self { resolved, by_folder: HashMap::new(), by_purl: HashMap::new() };
        let mut chosen = Vec::new();
        // Cached, because many packages of a folder look for the same lock file.
        let mut nearest: HashMap<(&str, &AnyEcosystem), &str> = HashMap::new();
        let mut pairings = Pairings::default();
        for (at, package) in
            packages.iter().enumerate().filter(|(_, package)| is_asked_for(package))
        {
            let Pairing { folder: own, tool, .. } = pairings.of(&package.file);
            let ecosystem = &package.ecosystem;
            let folder = if SHARED_LOCKS.iter().any(|shared| *ecosystem == *shared) {
                *nearest.entry((own, ecosystem)).or_insert_with(|| {
                    let mut around =
                        upwards(own).take_while(|folder| budget.read(folder.len() + 1));
                    let lock = |folder| {
                        let key = (folder, ecosystem);
                        let own = locks.contains_key(&key).then_some(folder);
                        own.or_else(|| of_rush.get(&key).copied())
                    };
                    let place = rush.subspace_of(own);
                    let own_lock = place.and_then(|(root, subspace)| {
                        of_subspace.get(&(root, subspace, ecosystem)).copied()
                    });
                    let nearest = own_lock.or_else(|| around.find_map(lock));
                    nearest.unwrap_or(own)
                })
            } else {
                own
            };
            let name = canonical_name(package);
            let files = locks.get(&(folder, ecosystem));
            let found = manifests.find(package, &name, files.into_iter().flatten(), budget);
            chosen.extend(found.map(|purl| (at, purl.to_owned())));
            let declared = manifests
                .by_folder
                .entry((folder.to_owned(), ecosystem.clone(), tool))
                .or_default()
                .entry(name)
                .or_default();
            *declared = Scope::stronger(*declared, package.scope);
        }
        (manifests, chosen)
    }

    /// Records which packages the lock files chose for a requirement. Returns it, if it is one and if the
    /// requirement itself has no version.
    fn find<'l>(
        &mut self,
        package: &Package,
        name: &str,
        locks: impl Iterator<Item = &'l &'l str>,
        budget: &Budget,
    ) -> Option<&'r str> {
        let range = package.version.as_deref().or(package.specifier.as_deref()).unwrap_or_default();
        let is_cargo = package.ecosystem == Ecosystem::Cargo;
        let allows = is_cargo.then_some(cargo::allows as fn(&str, &str) -> bool);
        let required = Requirement { folder: folder_of(&package.file), range, allows };
        let resolved = self.resolved;
        let mut all = BTreeSet::new();
        for lock in locks {
            let Some(stated) = resolved.of(lock, name) else { continue };
            if !budget.read(32 * stated.len()) {
                break;
            }
            let Some(purl) = resolved.find(stated, required) else { continue };
            all.insert(purl);
            let of_lock = self.by_purl.entry((*lock).to_owned()).or_default();
            let declared = of_lock.entry(purl.to_owned()).or_default();
            *declared = Scope::stronger(*declared, package.scope);
        }
        let first = all.pop_first().filter(|_| all.is_empty())?;
        package.version.is_none().then_some(first)
    }

    fn complete<'p>(&self, package: &'p mut Package, pairings: &mut Pairings<'p>) {
        let name = canonical_name(package);
        let Package { file, purl, ecosystem, direct, scope, .. } = package;
        let Pairing { folder, tool, names_all_direct } = pairings.of(file);
        let key = (folder.to_owned(), ecosystem.clone(), tool);
        let Some(declared) = self.by_folder.get(&key) else { return };
        let entry = if self.resolved.of(file, &name).is_some() {
            self.by_purl.get(file.as_str()).and_then(|of_file| of_file.get(purl.as_str()))
        } else {
            declared.get(&name)
        };
        if entry.is_some() || names_all_direct {
            direct.get_or_insert(entry.is_some());
        }
        if scope.is_none() && *direct == Some(true) {
            *scope = entry.copied().flatten();
        }
    }
}

/// Whether a manifest declares the package as a requirement of its own project.
fn is_asked_for(package: &Package) -> bool {
    package.source == Source::Manifest
        && package.direct == Some(true)
        && package.ecosystem != NAMES_MODULES
}

/// The pairings of files, by the parser that read each. Keeps the last one, because the packages of a file
/// follow each other.
#[derive(Default)]
struct Pairings<'p> {
    last: Option<(&'p str, Pairing<'p>)>,
}

impl<'p> Pairings<'p> {
    fn of(&mut self, file: &'p str) -> Pairing<'p> {
        if let Some((_, pairing)) = self.last.filter(|(known, _)| *known == file) {
            return pairing;
        }
        let parser = parser_for(file).or_else(|| deep_parser_for(file));
        let parser = parser.or_else(|| source_parser_for(file));
        let pairing = parser.map_or_else(|| Pairing::of(file), |parser| parser.pairing(file));
        self.last = Some((file, pairing));
        pairing
    }
}
