//! The steps that combine the findings of all files of a repository.
//!
//! Input: a repository whose files have all been read. Output: its packages, with what the step adds,
//! completes or drops. Invariants: nothing here knows a format; a step gives the same result whatever the
//! order of the files, and charges its work to the budget.

use super::{
    budget::Budget, facts::Facts, module_cache::ModuleCache, parser::Findings, project::Project,
};
use crate::model::scan_result::{Package, Warning};

/// A repository while its findings are combined.
#[derive(Debug)]
pub(crate) struct Joining<'a> {
    pub(super) packages: &'a mut Vec<Package>,
    pub(super) warnings: Vec<Warning>,
    /// The projects that the manifests describe.
    pub(super) projects: Vec<Project>,
    /// What the formats kept of their files. A step takes those of its format.
    pub(super) facts: Facts,
    pub(super) budget: &'a Budget,
    /// A cache from which versions are resolved that no file of the repository defines.
    pub(super) cache: Option<Box<dyn ModuleCache>>,
}

impl Joining<'_> {
    /// Adds the packages and warnings of a step.
    pub(super) fn add(&mut self, found: Findings) {
        self.packages.extend(found.packages);
        self.warnings.extend(found.warnings);
    }
}

/// One step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Converts the facts of a format to packages.
    Resolve(fn(&mut Joining<'_>)),
    /// Completes, corrects or drops packages by those of other files.
    Complete(fn(&mut Joining<'_>)),
}

impl Step {
    pub(super) fn run(self, joining: &mut Joining<'_>) {
        match self {
            Self::Resolve(run) | Self::Complete(run) => run(joining),
        }
    }
}
