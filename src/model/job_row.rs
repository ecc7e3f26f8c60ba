//! A job in a line: a row of `/jobs`, and of the snapshot with which the stream of all jobs
//! begins.

use super::{
    JobId,
    progress::JobFacts,
    state::COARSE_STATES,
    time::{self, Timestamp},
};
use serde::Serialize;

/// A job in a line.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct JobRow<'a> {
    job_id: &'a JobId,
    #[schemars(extend("enum" = COARSE_STATES))]
    status: &'static str,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    created_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
    /// Percent, to one decimal; 100 at the end, however it ended.
    progress: f64,
}

/// A job in the list of all.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ListedJob<'a> {
    #[serde(flatten)]
    row: JobRow<'a>,
    /// As it was submitted.
    git_url: Option<&'a str>,
    /// Why it failed.
    error_message: Option<&'a str>,
}

/// What a stream of all jobs begins with.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct JobsSnapshot<'a> {
    /// The newest 100, newest first.
    pub jobs: Vec<ListedJob<'a>>,
    /// All jobs there are.
    pub total: usize,
    /// How many of all are in which state.
    pub counts: JobCounts,
}

/// How many jobs are in which state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct JobCounts {
    pub pending: usize,
    pub running: usize,
    pub completed: usize,
    pub failed: usize,
}

impl<'a> JobRow<'a> {
    /// The row of a job where it stands now.
    pub fn of(facts: &'a JobFacts) -> Self {
        Self {
            job_id: &facts.id,
            status: facts.state.coarse(),
            created_at: facts.started_at,
            completed_at: facts.completed_at,
            progress: facts.percentage(),
        }
    }
}

impl<'a> ListedJob<'a> {
    /// The row of a job, and why it failed, if it did.
    pub fn of(facts: &'a JobFacts, error_message: Option<&'a str>) -> Self {
        Self { row: JobRow::of(facts), git_url: facts.url.as_deref(), error_message }
    }
}
