//! Combines the findings of all files of one repository.
//!
//! Input: the packages of all files in any order, what the formats kept of their files, and the projects
//! that the manifests describe. Output: all packages, sorted and without repeats, after each of the
//! [`STEPS`].
//!
//! Invariants: the order of the input does not matter; what a file itself declares is never overwritten.

use super::{
    STEPS,
    budget::Budget,
    facts::Facts,
    module_cache::{MAX_CACHED_BYTES, ModuleCache},
    project::Project,
    step::Joining,
};
use crate::model::scan_result::{Package, Warning};

/// The findings of all files of a repository that are not packages yet.
#[derive(Debug, Default)]
pub struct Gathered {
    pub projects: Vec<Project>,
    pub facts: Facts,
    /// Bytes of all parsed files and of their paths. Determines the budget of [`join`].
    pub bytes: u64,
    /// A cache from which versions are resolved that no file of the repository defines.
    pub cache: Option<Box<dyn ModuleCache>>,
}

/// Completes, sorts and deduplicates the packages of a repository.
/// Returns a warning for each thing that no file of the repository defines.
pub fn join(packages: &mut Vec<Package>, gathered: Gathered) -> Vec<Warning> {
    let Gathered { projects, facts, bytes, cache } = gathered;
    let cached = if cache.is_some() { MAX_CACHED_BYTES } else { 0 };
    let budget = Budget::of(bytes.saturating_add(cached));
    let warnings = Vec::new();
    let mut joining = Joining { packages, warnings, projects, facts, budget: &budget, cache };
    for step in STEPS {
        step.run(&mut joining);
    }
    let Joining { packages, mut warnings, .. } = joining;
    packages.sort();
    packages.dedup_by(is_repeat);
    if budget.was_used_up() {
        warnings.push(Warning {
            file: String::new(),
            line: None,
            message: budget.message_of_all(),
        });
    }
    warnings
}

/// Whether two packages of one file are equal in everything but the line.
fn is_repeat(later: &mut Package, first: &mut Package) -> bool {
    let line = std::mem::replace(&mut later.line, first.line);
    let same = later == first;
    later.line = line;
    same
}

#[cfg(test)]
mod tests;
