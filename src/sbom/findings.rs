//! The interface to the results from which documents are made.
//!
//! Input: results that the caller reads. Output: repositories and packages, one by one. Invariants: repeated
//! reads give the same answer, or [`Gone`].

use crate::model::{declared::Declared, repository::RepositoryStatus};

/// The results have changed, were removed, or the document is no longer wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the results are gone")]
pub struct Gone;

/// A repository with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub index: u32,
    pub name: String,
    pub git_url: String,
    pub commit: Option<String>,
    /// Whether local changes were read in addition to the commit.
    pub dirty: bool,
    /// How many files were excluded, and the patterns that excluded them: if any, the packages are
    /// incomplete.
    pub excluded: u64,
    pub exclude_paths: Vec<String>,
}

/// Visits packages, each with its position in its result.
pub type Visit<'v> = &'v mut dyn FnMut(u64, &Declared<'_>) -> Result<(), Gone>;

/// The results of one repository, or of a group. They are identified by their index, from 0.
pub trait Findings {
    /// The number of results.
    fn scanned(&self) -> u32;

    /// Whether the job is archived.
    fn is_archived(&self) -> bool {
        false
    }

    /// The number of repositories of the group without a result.
    fn missing(&self) -> u32;

    /// A repository with a result.
    fn repository(&mut self, at: u32) -> Result<Repository, Gone>;

    /// The name of a repository with a result.
    fn name(&mut self, at: u32) -> Result<String, Gone>;

    /// A repository without a result.
    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone>;

    /// Visits the packages of a result in order. False if the result is malformed: it then counts as a
    /// result without packages, and the caller has to forget what was visited.
    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone>;

    /// Visits the package at a position of a result.
    fn package(
        &mut self,
        at: u32,
        place: u64,
        visit: &mut dyn FnMut(&Declared<'_>),
    ) -> Result<(), Gone>;

    /// Visits the purls that the package at a position of a result requires.
    fn requires(&mut self, at: u32, place: u64, visit: &mut dyn FnMut(&str)) -> Result<(), Gone>;
}
