//! The packages of a lock that holds the graph of what requires what.
//!
//! What flows in: packages, who requires whom, and what the project and its workspaces ask for. What
//! flows out: each package once, with its scope where the lock has no words for it: a package is
//! there for the strongest reason on any way to it from the project.
//!
//! What must stay true: a walk without recursion; time linear in packages and requirements; each of
//! them is charged to the budget of work, and what was gathered before that was used up is listed.

use crate::ecosystem::{
    budget::{Budget, NODE},
    collect::{Added, Collector, Declared},
    purl::Ecosystem,
};
use crate::model::scan_result::Scope;
use std::collections::{HashMap, VecDeque};

/// A package of the lock, by its place in the [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vertex(usize);

impl Vertex {
    /// No package at all.
    const NONE: Self = Self(usize::MAX);
}

/// How one package asks for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Need {
    Required,
    Optional,
}

#[derive(Debug)]
pub(super) struct Graph<'a> {
    budget: &'a Budget,
    packages: Vec<Entry<'a>>,
    known: HashMap<(&'static str, &'a str, &'a str), Vertex>,
    asked_for: Vec<(Scope, Vertex)>,
}

#[derive(Debug)]
struct Entry<'a> {
    declared: Declared<'a>,
    ecosystem: Ecosystem,
    requires: Vec<(Need, Vertex)>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, packages: Vec::new(), known: HashMap::new(), asked_for: Vec::new() }
    }

    /// Adds a package; the one that is there where it was added before.
    pub(super) fn add(&mut self, ecosystem: Ecosystem, declared: Declared<'a>) -> Vertex {
        let version = declared.version.or(declared.specifier).unwrap_or_default();
        // Of an entry that was not read to its end nothing is known.
        if !self.budget.spend(NODE + (declared.name.len() + version.len()) as u64) {
            return Vertex::NONE;
        }
        let next = Vertex(self.packages.len());
        let key = (ecosystem.as_str(), declared.name, version);
        let vertex = *self.known.entry(key).or_insert(next);
        match self.packages.get_mut(vertex.0) {
            None => self.packages.push(Entry { declared, ecosystem, requires: Vec::new() }),
            // Of two places of one package, the one that is needed more says what for, and one that
            // may be the project's own choice keeps that open.
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

    /// One package requires another one itself.
    pub(super) fn requires(&mut self, package: Vertex, need: Need, required: Vertex) {
        if let Some(entry) = self.packages.get_mut(package.0).filter(|_| self.budget.visit()) {
            entry.requires.push((need, required));
        }
    }

    /// The project or one of its workspaces asks for a package.
    pub(super) fn ask_for(&mut self, scope: Scope, package: Vertex) {
        if !self.budget.visit() {
            return;
        }
        self.asked_for.push((scope, package));
        if let Some(entry) = self.packages.get_mut(package.0) {
            entry.declared.direct = Some(true);
        }
    }

    /// Gives each package that has no scope the one for which it is there.
    pub(super) fn spread_scopes(&mut self) {
        let mut reached: Vec<Option<Scope>> = vec![None; self.packages.len()];
        for scope in [Scope::Runtime, Scope::Peer, Scope::Optional, Scope::Dev] {
            let mut queue: VecDeque<Vertex> = VecDeque::new();
            let start = self.asked_for.iter().filter(|it| it.0 == scope);
            queue.extend(start.map(|it| it.1));
            if scope == Scope::Optional {
                queue.extend(self.optional(&reached));
            }
            while let Some(vertex) = queue.pop_front() {
                let Some(slot) = reached.get_mut(vertex.0).filter(|it| it.is_none()) else {
                    continue;
                };
                *slot = Some(scope);
                let Some(entry) = self.packages.get(vertex.0) else { continue };
                let needed = entry.requires.iter().filter(|(need, _)| {
                    *need == Need::Required || !matches!(scope, Scope::Runtime | Scope::Peer)
                });
                queue.extend(needed.map(|it| it.1));
            }
        }
        for (entry, scope) in self.packages.iter_mut().zip(reached) {
            entry.declared.scope = entry.declared.scope.or(scope);
        }
    }

    /// What the packages that were reached would do without.
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

    /// Lists all packages; those that nobody asked for are not direct, where the lock knows.
    pub(super) fn list(self, knows_direct: bool, found: &mut Collector<'_>) {
        self.budget.allow_listing();
        let added: Vec<Option<Added>> = self
            .packages
            .iter()
            .map(|entry| {
                let mut declared = entry.declared;
                if knows_direct {
                    declared.direct.get_or_insert(false);
                }
                found.take(entry.ecosystem, declared)
            })
            .collect();
        let of = |vertex: usize| added.get(vertex).copied().flatten();
        for (place, entry) in self.packages.iter().enumerate() {
            for (_, required) in &entry.requires {
                if let (Some(own), Some(required)) = (of(place), of(required.0)) {
                    found.requires(own, required);
                }
            }
        }
    }
}

/// Of the reasons for which a package is there, the strongest comes first.
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
