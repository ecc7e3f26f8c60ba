//! The plan of a job, `repositories.json`: its repositories and their indices.
//!
//! Invariants: a job folder with a plan is ours: only such jobs are queued, adopted and finalized.
//! A plan never contains credentials.

use serde::{Deserialize, Serialize};

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    pub schema: u32,
    /// Whether all repositories are listed: not while the listing goes on, and not if something
    /// could not be listed.
    pub complete: bool,
    pub repositories: Vec<PlannedRepository>,
}

/// One entry of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedRepository {
    /// The N of `repo_N.json`; `None` for a skipped repository.
    pub repo_index: Option<u32>,
    pub repo_name: String,
    /// The URL to fetch from; for a scan of a local path, that path. A text, because a plan also
    /// lists URLs that the policy refuses, and because the policy may change after the plan was
    /// written: the scanner checks the URL against the policy of its task.
    pub git_url: String,
    /// Why the repository is skipped, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why the repository must not be contacted, if so: it counts, and fails without being started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Plan {
    /// A complete plan, numbered in the given order.
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

    /// An empty, incomplete plan: the forge has still to be queried.
    pub fn unknown() -> Self {
        Self { schema: 1, complete: false, repositories: Vec::new() }
    }

    /// The repositories that are not skipped, with their indices.
    pub fn counted(&self) -> impl Iterator<Item = (u32, &PlannedRepository)> {
        self.repositories.iter().filter_map(|row| Some((row.repo_index?, row)))
    }
}
