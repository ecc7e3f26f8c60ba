//! The plan of a job, `repositories.json`: which repositories, under which numbers.
//!
//! A job folder that holds one is ours: only such jobs are queued, adopted and settled.
//! It never holds a credential.

use serde::{Deserialize, Serialize};

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    pub schema: u32,
    /// Whether all repositories are listed; a group's plan may be cut short by a crash.
    pub complete: bool,
    pub repositories: Vec<PlannedRepository>,
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedRepository {
    /// The N of `repo_N.json`; none for a repository that is left out.
    pub repo_index: Option<u32>,
    pub repo_name: String,
    /// Where it is fetched from; for a scan of a local path, that path.
    pub git_url: String,
    /// Why it is left out, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why it must not be contacted, if it must not: it counts, and has failed from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Plan {
    /// A complete plan, numbered in the order given.
    pub fn of(repositories: impl IntoIterator<Item = (String, String)>) -> Self {
        let repositories = (0u32..)
            .zip(repositories)
            .map(|(index, (repo_name, git_url))| PlannedRepository {
                repo_index: Some(index),
                repo_name,
                git_url,
                skipped: None,
                refused: None,
            })
            .collect();
        Self { schema: 1, complete: true, repositories }
    }

    /// A plan of which nothing is known yet: the forge is still to be asked.
    pub fn unknown() -> Self {
        Self { schema: 1, complete: false, repositories: Vec::new() }
    }

    /// The repositories that count, with their numbers.
    pub fn counted(&self) -> impl Iterator<Item = (u32, &PlannedRepository)> {
        self.repositories.iter().filter_map(|it| Some((it.repo_index?, it)))
    }
}
