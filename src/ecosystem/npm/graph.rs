//! The packages of a lock file with their dependency graph.
//!
//! Input: packages, the dependencies between them, and the direct dependencies of the project and its
//! workspaces. Output: each package once, and which of several versions a manifest gets. Where the lock file
//! has no scopes, a package gets the strongest scope of all paths to it from the project.
//!
//! Invariants: walks do not recurse; the time is linear in packages and dependencies; each of them is
//! charged to the budget, and once that is used up, what was collected so far is listed.

use super::spec::{self, Spec};
use crate::ecosystem::{
    budget::{Budget, NODE},
    collect::{Added, Collector, Declared},
    resolution::Importer,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};
use std::collections::{HashMap, HashSet, VecDeque};

/// The index of a package in the [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vertex(usize);

impl Vertex {
    /// A package that was not added.
    const NONE: Self = Self(usize::MAX);
}

/// How one package requires another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Need {
    Required,
    Optional,
}

#[derive(Debug)]
pub(super) struct Graph<'a> {
    budget: &'a Budget,
    packages: Vec<Entry<'a>>,
    known: HashMap<(Ecosystem, &'a str, &'a str), Vertex>,
    direct: Vec<(Scope, Vertex)>,
    resolutions: Vec<(Vertex, Importer<'a>, &'a str)>,
}

#[derive(Debug)]
struct Entry<'a> {
    declared: Declared<'a>,
    ecosystem: Ecosystem,
    requires: Vec<(Need, Vertex)>,
    digests: Option<&'a str>,
    license: Option<&'a str>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self {
            budget,
            packages: Vec::new(),
            known: HashMap::new(),
            direct: Vec::new(),
            resolutions: Vec::new(),
        }
    }

    /// Adds a package, or returns the equal package that was added before.
    pub(super) fn add(&mut self, ecosystem: Ecosystem, declared: Declared<'a>) -> Vertex {
        let version = declared.version.or(declared.specifier).unwrap_or_default();
        // An entry that was read only in part is not added.
        if !self.budget.spend(NODE + (declared.name.len() + version.len()) as u64) {
            return Vertex::NONE;
        }
        let next = Vertex(self.packages.len());
        let key = (ecosystem, declared.name, version);
        let vertex = *self.known.entry(key).or_insert(next);
        match self.packages.get_mut(vertex.0) {
            None => {
                let (requires, digests, license) = (Vec::new(), None, None);
                self.packages.push(Entry { declared, ecosystem, requires, digests, license });
            }
            // Of two entries for one package, the stronger scope wins, and `direct` stays open if it is
            // open for one of them.
            Some(Entry { declared: first, .. }) => {
                if rank(declared.scope) < rank(first.scope) {
                    first.scope = declared.scope;
                }
                if first.direct == Some(false) {
                    first.direct = declared.direct;
                }
            }
        }
        vertex
    }

    /// Records that one package requires another one.
    pub(super) fn requires(&mut self, package: Vertex, need: Need, required: Vertex) {
        if let Some(entry) = self.packages.get_mut(package.0).filter(|_| self.budget.visit()) {
            entry.requires.push((need, required));
        }
    }

    /// Records what the lock file states about the archive of a package.
    pub(super) fn describe(
        &mut self,
        package: Vertex,
        digests: Option<&'a str>,
        license: Option<&'a str>,
    ) {
        if let Some(entry) = self.packages.get_mut(package.0) {
            entry.digests = entry.digests.or(digests);
            entry.license = entry.license.or(license);
        }
    }

    /// Records that the project or one of its workspaces requires a package.
    pub(super) fn add_direct(&mut self, scope: Scope, package: Vertex) {
        if !self.budget.visit() {
            return;
        }
        self.direct.push((scope, package));
        if let Some(entry) = self.packages.get_mut(package.0) {
            entry.declared.direct = Some(true);
        }
    }

    /// Records that a package is the one for a requirement `name: range` of these projects.
    pub(super) fn resolves(
        &mut self,
        package: Vertex,
        importer: Importer<'a>,
        name: &'a str,
        range: &'a str,
    ) {
        // As `package.json` is read: without the name of an alias.
        let range = match spec::read(name, range) {
            Spec::Package { version, specifier, .. } => version.or(specifier).unwrap_or_default(),
            Spec::Local => return,
        };
        if self.budget.visit() {
            self.resolutions.push((package, importer, range));
        }
    }

    /// Gives each package without a scope the strongest scope of its dependents.
    pub(super) fn propagate_scopes(&mut self) {
        let mut reached: Vec<Option<Scope>> = vec![None; self.packages.len()];
        for scope in [Scope::Runtime, Scope::Peer, Scope::Optional, Scope::Dev] {
            let mut queue: VecDeque<Vertex> = VecDeque::new();
            let start = self.direct.iter().filter(|direct| direct.0 == scope);
            queue.extend(start.map(|direct| direct.1));
            if scope == Scope::Optional {
                queue.extend(self.optional(&reached));
            }
            while let Some(vertex) = queue.pop_front() {
                let Some(slot) = reached.get_mut(vertex.0).filter(|slot| slot.is_none()) else {
                    continue;
                };
                *slot = Some(scope);
                let Some(entry) = self.packages.get(vertex.0) else { continue };
                let needed = entry.requires.iter().filter(|(need, _)| {
                    *need == Need::Required || !matches!(scope, Scope::Runtime | Scope::Peer)
                });
                queue.extend(needed.map(|requirement| requirement.1));
            }
        }
        for (entry, scope) in self.packages.iter_mut().zip(reached) {
            entry.declared.scope = entry.declared.scope.or(scope);
        }
    }

    /// The optional dependencies of the packages that have been reached.
    fn optional<'g>(
        &'g self,
        reached: &[Option<Scope>],
    ) -> impl Iterator<Item = Vertex> + use<'g, 'a> {
        let reached: Vec<bool> = reached.iter().map(Option::is_some).collect();
        self.packages
            .iter()
            .zip(reached)
            .filter(|(_, reached)| *reached)
            .flat_map(|(entry, _)| &entry.requires)
            .filter(|(need, _)| *need == Need::Optional)
            .map(|(_, vertex)| *vertex)
    }

    /// Lists all packages. Packages that are not known to be direct are transitive, if the lock file states
    /// what is direct.
    pub(super) fn list(mut self, knows_direct: bool, found: &mut Collector<'_>) {
        self.budget.allow_listing();
        // Frees memory before the packages are copied.
        self.known = HashMap::new();
        let Self { packages, mut resolutions, .. } = self;
        let several = names_of_several(&packages);
        // A name with one version needs no resolution.
        resolutions.retain(|(vertex, ..)| {
            packages.get(vertex.0).is_some_and(|entry| several.contains(&entry.name()))
        });
        let added: Vec<Option<Added>> = packages
            .iter()
            .map(|entry| {
                let mut declared = entry.declared;
                if knows_direct {
                    declared.direct.get_or_insert(false);
                }
                let added = found.take(entry.ecosystem, declared);
                found.hash(added, entry.digests.unwrap_or_default());
                found.license(added, entry.license.unwrap_or_default());
                added
            })
            .collect();
        let of = |vertex: usize| added.get(vertex).copied().flatten();
        for (place, entry) in packages.iter().enumerate() {
            for (_, required) in &entry.requires {
                if let (Some(own), Some(required)) = (of(place), of(required.0)) {
                    found.requires(own, required);
                }
            }
        }
        for (vertex, importer, range) in resolutions {
            if let Some(added) = of(vertex.0) {
                found.resolves(added, importer, Some(range));
            }
        }
    }
}

impl<'a> Entry<'a> {
    fn name(&self) -> (Ecosystem, &'a str) {
        (self.ecosystem, self.declared.name)
    }
}

/// The names of several packages.
fn names_of_several<'a>(packages: &[Entry<'a>]) -> HashSet<(Ecosystem, &'a str)> {
    let mut names: Vec<_> = packages.iter().map(Entry::name).collect();
    names.sort_unstable();
    let equal = names.windows(2).filter_map(|pair| match pair {
        [first, second] if first == second => Some(*first),
        _ => None,
    });
    equal.collect()
}

/// The order of scopes, the strongest first.
fn rank(scope: Option<Scope>) -> u8 {
    match scope {
        Some(Scope::Runtime) => 0,
        Some(Scope::Peer) => 1,
        Some(Scope::Optional) => 2,
        Some(Scope::Build) => 3,
        Some(Scope::Test) => 4,
        Some(Scope::Dev) => 5,
        None => 6,
    }
}
