//! A job as one row: of `/jobs`, and of the snapshot at the start of the stream of all jobs.
//!
//! Input: facts of a job. Output: a JSON object.

use super::{
    JobId,
    progress::JobFacts,
    state::COARSE_STATES,
    time::{self, Timestamp},
};
use serde::Serialize;

/// A job as one row.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct JobRow<'a> {
    job_id: &'a JobId,
    #[schemars(extend("enum" = COARSE_STATES))]
    status: &'static str,
    /// When the job was submitted; for a job whose files do not say so, the time of its folder.
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    created_at: Timestamp,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
    /// Whole percent, rounded down; 100 for every finished job.
    #[schemars(range(max = 100))]
    progress: u8,
    /// The place of the job among those that wait for their first scan, from 1; absent if it does not wait. They get
    /// slots in this order, except those whose repositories are still being listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    /// Nothing more of the job is started until it is resumed; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    /// The files of the job were removed after the retention time, and its results are archived; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
}

/// A row of the list of all jobs.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ListedJob<'a> {
    #[serde(flatten)]
    row: JobRow<'a>,
    /// The submitted URL; empty if no file names it.
    git_url: &'a str,
    /// Why it failed.
    error_message: Option<&'a str>,
    total_repositories: u64,
    completed_repositories: u64,
    /// Repositories that failed, timed out or were cancelled.
    failed_repositories: u64,
    /// Completed repositories with the result of an earlier scan.
    reused_repositories: u64,
}

/// The first message of a stream of all jobs.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct JobsSnapshot<'a> {
    /// The newest 100, newest first.
    pub jobs: Vec<ListedJob<'a>>,
    /// The number of all jobs.
    pub total: usize,
    /// The number of jobs in each state.
    pub counts: JobCounts,
}

/// The number of jobs in each state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct JobCounts {
    pub pending: usize,
    pub running: usize,
    pub completed: usize,
    pub failed: usize,
}

impl<'a> JobRow<'a> {
    /// The row for the current state of a job.
    pub fn of(facts: &'a JobFacts) -> Self {
        Self {
            job_id: &facts.id,
            status: facts.state.coarse(),
            created_at: facts.created_at(),
            completed_at: facts.completed_at,
            progress: facts.percentage(),
            queue_position: None,
            paused: facts.paused,
            archived: facts.archived,
        }
    }

    /// The same with its place in the queue.
    #[must_use]
    pub fn in_queue(self, queue_position: Option<usize>) -> Self {
        Self { queue_position, ..self }
    }
}

impl<'a> ListedJob<'a> {
    /// The row of a job, with its error if it failed.
    pub fn of(facts: &'a JobFacts, error_message: Option<&'a str>) -> Self {
        Self {
            row: JobRow::of(facts),
            git_url: facts.url.as_deref().unwrap_or_default(),
            error_message,
            total_repositories: facts.summary.total_repositories,
            completed_repositories: facts.summary.completed,
            failed_repositories: facts.summary.failed,
            reused_repositories: facts.summary.reused,
        }
    }

    /// The same with its place in the queue.
    #[must_use]
    pub fn in_queue(self, queue_position: Option<usize>) -> Self {
        Self { row: self.row.in_queue(queue_position), ..self }
    }
}
