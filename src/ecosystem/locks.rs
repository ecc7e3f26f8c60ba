//! Completes lock files from the manifests beside them: which packages are direct, and their scopes.
//!
//! Input: the packages of a repository. Output: the packages of its lock files with `direct` and `scope`.
//! Invariants: what a lock file itself states is never overwritten; only manifests of the same tool count,
//! by the [`Pairing`] of each format.

use super::{
    budget::Budget,
    deep_parser_for,
    parser::Pairing,
    parser_for,
    path::{folder_of, upwards},
    purl::canonical_name,
    step::Joining,
};
use crate::model::{
    ecosystem::{AnyEcosystem, Ecosystem},
    scan_result::{Package, Scope, Source},
};
use std::collections::{HashMap, HashSet};

/// The ecosystems in which the members of a workspace share the lock file of the nearest folder above that
/// has one.
const SHARED_LOCKS: [Ecosystem; 3] = [Ecosystem::Cargo, Ecosystem::Npm, Ecosystem::Hex];

/// A Perl manifest names modules; the distribution of a module cannot be derived from its name.
const NAMES_MODULES: Ecosystem = Ecosystem::Cpan;

/// Completes the packages of all lock files.
pub(super) fn complete(joining: &mut Joining<'_>) {
    let manifests = Manifests::of(joining.packages, joining.budget);
    let mut pairings = Pairings::default();
    let is_locked = |package: &&mut Package| package.source == Source::Lockfile;
    for package in joining.packages.iter_mut().filter(is_locked) {
        manifests.complete(package, &mut pairings);
    }
}

/// The requirements of all manifests, by folder and ecosystem.
struct Manifests {
    /// The scope of each requirement, by its canonical name.
    by_folder: HashMap<Key, HashMap<String, Option<Scope>>>,
}

/// Folder, ecosystem, and the tool that a file belongs to.
type Key = (String, AnyEcosystem, &'static str);

impl Manifests {
    fn of(packages: &[Package], budget: &Budget) -> Self {
        let locks: HashSet<(&str, &AnyEcosystem)> = packages
            .iter()
            .filter(|package| package.source == Source::Lockfile)
            .map(|package| (folder_of(&package.file), &package.ecosystem))
            .collect();
        let mut by_folder: HashMap<_, HashMap<_, Option<Scope>>> = HashMap::new();
        // Cached, because many packages of a folder look for the same lock file.
        let mut nearest: HashMap<(&str, &AnyEcosystem), &str> = HashMap::new();
        let mut pairings = Pairings::default();
        for package in packages.iter().filter(|package| is_asked_for(package)) {
            let Pairing { folder: own, tool, .. } = pairings.of(&package.file);
            let ecosystem = &package.ecosystem;
            let folder = if SHARED_LOCKS.iter().any(|shared| *ecosystem == *shared) {
                *nearest.entry((own, ecosystem)).or_insert_with(|| {
                    let mut around =
                        upwards(own).take_while(|folder| budget.read(folder.len() + 1));
                    around.find(|folder| locks.contains(&(*folder, ecosystem))).unwrap_or(own)
                })
            } else {
                own
            };
            let declared = by_folder
                .entry((folder.to_owned(), ecosystem.clone(), tool))
                .or_default()
                .entry(canonical_name(package))
                .or_default();
            *declared = Scope::stronger(*declared, package.scope);
        }
        Self { by_folder }
    }

    fn complete<'p>(&self, package: &'p mut Package, pairings: &mut Pairings<'p>) {
        let name = canonical_name(package);
        let Package { file, ecosystem, direct, scope, .. } = package;
        let Pairing { folder, tool, names_all_direct } = pairings.of(file);
        let key = (folder.to_owned(), ecosystem.clone(), tool);
        let Some(declared) = self.by_folder.get(&key) else { return };
        let entry = declared.get(&name);
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
        let pairing = parser.map_or_else(|| Pairing::of(file), |parser| parser.pairing(file));
        self.last = Some((file, pairing));
        pairing
    }
}
