//! The gems of the repository itself: those that its gemspecs describe, and those that a lock file has from a path.
//!
//! Input: the names of these gems, and the packages of a repository. Output: the packages without requirements of
//! these gems. Invariants: entries of lock files stay, because a lock file itself states where a gem comes from; a
//! gemspec among tests, examples or copies of other projects describes no gem of the repository.

use crate::ecosystem::{
    collect::MAX_NAME,
    facts::{Fact, Facts},
    step::Joining,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::HashSet;

/// Folders with projects that are not those of the repository.
const FOREIGN: [&str; 8] =
    ["vendor", "test", "tests", "spec", "specs", "fixtures", "examples", "node_modules"];

/// The gems of the repository that a file names.
#[derive(Debug)]
pub(super) struct OwnGems(Vec<String>);

impl OwnGems {
    /// None for a file of another project.
    pub(super) fn of<'a>(file: &str, names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let is_foreign = file.split('/').any(|folder| FOREIGN.contains(&folder));
        let usable = names.filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
        let names: Vec<String> = usable.map(str::to_owned).collect();
        (!is_foreign && !names.is_empty()).then_some(Self(names))
    }
}

/// The names of all gems of the repository.
#[derive(Debug, Default)]
struct AllOwnGems(HashSet<String>);

impl Fact for OwnGems {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|gems: &mut AllOwnGems| gems.0.extend(self.0));
    }
}

/// Drops requirements of the repository's own gems.
pub(in crate::ecosystem) fn drop_own_gems(joining: &mut Joining<'_>) {
    let AllOwnGems(own) = joining.facts.take();
    if own.is_empty() {
        return;
    }
    joining.packages.retain(|package| {
        let is_required = package.source == Source::Manifest && package.ecosystem == Ecosystem::Gem;
        !(is_required && own.contains(&package.name))
    });
}
