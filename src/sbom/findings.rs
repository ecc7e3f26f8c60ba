//! What a document is made of, wherever it lies.
//!
//! Input: results that the caller reads. Output: repositories and packages, one by one. Invariants: what is asked for twice is the same each time, or [`Gone`].

use crate::model::{declared::Declared, repository::RepositoryStatus};

/// What is being read has changed, was removed, or is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is being read is gone")]
pub struct Gone;

/// A repository with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub index: u32,
    pub name: String,
    pub git_url: String,
    pub commit: Option<String>,
}

/// Takes packages, each with its place in its result.
pub type Visit<'v> = &'v mut dyn FnMut(u64, &Declared<'_>) -> Result<(), Gone>;

/// The results of one repository, or of a group. They are named by their position, from 0.
pub trait Findings {
    /// How many results there are.
    fn scanned(&self) -> u32;

    /// How many repositories of the group have none.
    fn missing(&self) -> u32;

    /// A repository with a result.
    fn repository(&mut self, at: u32) -> Result<Repository, Gone>;

    /// The name of a repository with a result.
    fn name(&mut self, at: u32) -> Result<String, Gone>;

    /// A repository without a result.
    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone>;

    /// Visits the packages of a result in their order; says whether the result makes sense. If not,
    /// it counts as one without packages, and what was visited is to be forgotten.
    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone>;

    /// Visits the package at a place of a result.
    fn package(
        &mut self,
        at: u32,
        place: u64,
        visit: &mut dyn FnMut(&Declared<'_>),
    ) -> Result<(), Gone>;

    /// Visits the purls that the package at a place of a result requires.
    fn requires(&mut self, at: u32, place: u64, visit: &mut dyn FnMut(&str)) -> Result<(), Gone>;
}
