//! What a document is made of, wherever it lies.
//!
//! Input: results in memory, or files that the caller reads. Output: repositories and packages, one by
//! one. Invariants: what is asked for twice is the same each time, or [`Gone`].

use crate::model::{declared::Declared, repository::RepositoryStatus, scan_result::ScanResult};

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

/// Results that are in memory, and the repositories without one.
#[derive(Debug, Clone, Copy)]
pub struct InMemory<'a> {
    pub results: &'a [&'a ScanResult],
    pub missing: &'a [RepositoryStatus],
}

impl<'a> InMemory<'a> {
    fn result(&self, at: u32) -> Result<&'a ScanResult, Gone> {
        self.results.get(at as usize).copied().ok_or(Gone)
    }
}

impl Findings for InMemory<'_> {
    fn scanned(&self) -> u32 {
        u32::try_from(self.results.len()).unwrap_or(u32::MAX)
    }

    fn missing(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX)
    }

    fn repository(&mut self, at: u32) -> Result<Repository, Gone> {
        let result = self.result(at)?;
        Ok(Repository {
            index: result.repo_index,
            name: result.repo_name.clone(),
            git_url: result.git_url.clone(),
            commit: result.commit.clone(),
        })
    }

    fn name(&mut self, at: u32) -> Result<String, Gone> {
        Ok(self.result(at)?.repo_name.clone())
    }

    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone> {
        self.missing.get(at as usize).cloned().ok_or(Gone)
    }

    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone> {
        for (place, package) in (0..).zip(&self.result(at)?.packages) {
            visit(place, &Declared::of(package))?;
        }
        Ok(true)
    }

    fn package(
        &mut self,
        at: u32,
        place: u64,
        visit: &mut dyn FnMut(&Declared<'_>),
    ) -> Result<(), Gone> {
        let place = usize::try_from(place).map_err(|_| Gone)?;
        visit(&Declared::of(self.result(at)?.packages.get(place).ok_or(Gone)?));
        Ok(())
    }

    fn requires(&mut self, at: u32, place: u64, visit: &mut dyn FnMut(&str)) -> Result<(), Gone> {
        let place = usize::try_from(place).map_err(|_| Gone)?;
        let package = self.result(at)?.packages.get(place).ok_or(Gone)?;
        package.requires.iter().for_each(|it| visit(it));
        Ok(())
    }
}
