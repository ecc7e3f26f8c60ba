//! The progress document of `GET /scan/{id}`, derived from a job's files.
//!
//! Input: the job's master file (if readable) and its repositories, in order of their indices.
//! Output: the document in two parts, around the one member that changes with the clock
//! (`elapsed_time_seconds`), so that a shared body can be spliced.
//!
//! Invariants: pure aggregation.

use super::{
    Failure, JobId, JobState, RepoState,
    listing::ListingError,
    master::Master,
    report::Report,
    repository::{Progress, RepositoryStatus},
    state::{Summary, Totals},
    time::{self, Timestamp},
};
use serde::Serialize;

pub use super::job_counts::{is_discovering, pending_names, state, totalled};
pub use super::job_facts::JobFacts;

/// The part of the document before `elapsed_time_seconds`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Head<'a> {
    job_id: &'a JobId,
    status: JobState,
    group_url: Option<&'a str>,
    summary: Summary,
    totals: Totals,
    /// The repositories are still being listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    discovering: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    repositories: Option<Vec<RepositoryRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_repositories: Option<Vec<CurrentRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_repositories: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_repositories: Option<Vec<FailedRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_repositories: Option<Vec<String>>,
}

/// The part of the document after `elapsed_time_seconds`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Tail<'a> {
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    last_update: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
    eta_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// What the job waits for before its repositories can be listed, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<&'a str>,
    /// Nothing more of the job is started until it is resumed; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    /// The files of the job were removed after the retention time, and its results are archived; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
    /// Of a finished job: how many repositories were completed, failed and skipped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Report>,
    /// What could not be listed: the first 100 errors.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    discovery_errors: &'a [ListingError],
    /// The number of all errors.
    #[serde(skip_serializing_if = "is_zero")]
    discovery_errors_total: u64,
    warnings: Vec<WarningRow<'a>>,
    version: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The state of a job, with all its repositories.
///
/// Described as a whole, and sent in parts, spliced around the seconds.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Progress", description = "The state of a job, with all its repositories.")]
pub struct ProgressDocument<'a> {
    #[serde(flatten)]
    pub head: Head<'a>,
    /// Seconds from the start to the end, or until now.
    pub elapsed_time_seconds: u64,
    #[serde(flatten)]
    pub tail: Tail<'a>,
}

/// A problem with one of the job's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WarningRow<'a> {
    pub file: &'a str,
    pub message: &'a str,
}

/// An item of `repositories`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct RepositoryRow<'a> {
    repo_index: u32,
    repo_name: Option<&'a str>,
    status: &'a str,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    last_update: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a Progress>,
    /// The job whose scan produced the result, if the repository was not scanned again.
    #[serde(skip_serializing_if = "Option::is_none")]
    reused_from: Option<&'a JobId>,
}

/// An item of `current_repositories`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct CurrentRow<'a> {
    repo_name: Option<&'a str>,
    status: &'a str,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a Progress>,
}

/// An item of `failed_repositories`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct FailedRow<'a> {
    repo_name: Option<&'a str>,
    error: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

impl<'a> RepositoryRow<'a> {
    /// The row of any repository.
    pub fn of(status: &'a RepositoryStatus) -> Self {
        Self {
            repo_index: status.index,
            repo_name: status.name.as_deref(),
            status: status.word(),
            started_at: status.started_at,
            last_update: status.last_update,
            progress: status.progress.as_ref(),
            reused_from: status.reused_from.as_ref(),
        }
    }
}

impl<'a> CurrentRow<'a> {
    /// The row of a repository that is being scanned.
    pub fn of(status: &'a RepositoryStatus) -> Option<Self> {
        status.state.is_working().then(|| Self {
            repo_name: status.name.as_deref(),
            status: status.word(),
            started_at: status.started_at,
            progress: status.progress.as_ref(),
        })
    }
}

impl<'a> FailedRow<'a> {
    /// The row of a repository that failed.
    pub fn of(status: &'a RepositoryStatus) -> Option<Self> {
        status.state.is_failure().then(|| Self {
            repo_name: status.name.as_deref(),
            error: status.error.as_deref().unwrap_or("Unknown error"),
            status: status.word(),
            failure: status.failure.as_ref(),
        })
    }
}

/// An item of `completed_repositories`: the name of a completed repository.
pub fn completed_name(status: &RepositoryStatus) -> Option<String> {
    (status.state == RepoState::Completed).then(|| status.display_name())
}

/// Whether the document contains the lists: `?view=summary` omits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lists {
    Whole,
    Omitted,
}

/// The message of a `repository` event.
#[derive(Debug, Serialize)]
pub struct RepositoryEvent<'a> {
    job_id: &'a JobId,
    repo_index: u32,
    repo_name: Option<&'a str>,
    status: &'a str,
    /// The number of the attempt that this state belongs to, or that is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<&'a Progress>,
    #[serde(with = "time::option")]
    started_at: Option<Timestamp>,
    #[serde(with = "time::option")]
    last_update: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reused_from: Option<&'a JobId>,
    #[serde(skip_serializing_if = "Option::is_none", with = "time::option")]
    checked_at: Option<Timestamp>,
}

impl<'a> RepositoryEvent<'a> {
    /// The message for one repository's current state.
    pub fn of(job_id: &'a JobId, status: &'a RepositoryStatus) -> Self {
        Self {
            job_id,
            repo_index: status.index,
            repo_name: status.name.as_deref(),
            status: status.word(),
            attempt: status.attempt,
            progress: status.progress.as_ref(),
            started_at: status.started_at,
            last_update: status.last_update,
            error: status.error.as_deref(),
            failure: status.failure.as_ref(),
            reused_from: status.reused_from.as_ref(),
            checked_at: status.checked_at,
        }
    }
}

/// The completed fraction of a job, 0.0 to 1.0: finished repositories plus `partly`, the sum of the
/// known fractions of those in progress.
pub fn fraction(summary: &Summary, partly: f64) -> f64 {
    if summary.total_repositories == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of repositories are small")]
    let (over, total) =
        ((summary.completed + summary.failed) as f64, summary.total_repositories as f64);
    ((over + partly) / total).clamp(0.0, 1.0)
}

/// Builds the part before `elapsed_time_seconds`.
pub fn head<'a, I>(
    facts: &'a JobFacts,
    master: Option<&'a Master>,
    repositories: &I,
    lists: Lists,
) -> Head<'a>
where
    I: Iterator<Item = &'a RepositoryStatus> + Clone,
{
    let whole = lists == Lists::Whole;
    let all = || repositories.clone();
    Head {
        job_id: &facts.id,
        status: facts.state,
        group_url: facts.url.as_deref(),
        summary: facts.summary,
        totals: facts.totals(),
        discovering: facts.discovering,
        repositories: whole.then(|| all().map(RepositoryRow::of).collect()),
        current_repositories: whole.then(|| all().filter_map(CurrentRow::of).collect()),
        completed_repositories: whole.then(|| all().filter_map(completed_name).collect()),
        failed_repositories: whole.then(|| all().filter_map(FailedRow::of).collect()),
        pending_repositories: whole.then(|| pending_names(master, all(), facts.summary.pending)),
    }
}

/// Builds the part after `elapsed_time_seconds`, of the master file with or without its lists.
/// `newest` is the latest update of a repository.
pub fn tail<'a>(
    facts: &'a JobFacts,
    (master, lists): (Option<&'a Master>, Lists),
    newest: Option<Timestamp>,
    warnings: Vec<WarningRow<'a>>,
    version: u64,
    elapsed_seconds: u64,
) -> Tail<'a> {
    Tail {
        last_update: newest
            .or_else(|| master.and_then(|master| master.last_aggregation.or(master.started_at))),
        completed_at: facts.completed_at,
        eta_seconds: facts.eta_seconds(elapsed_seconds),
        error: facts.error.as_deref(),
        waiting_for: master.and_then(|master| master.waiting_for.as_deref()),
        paused: facts.paused,
        archived: facts.archived,
        report: report(facts, master),
        discovery_errors: master
            .filter(|_| lists == Lists::Whole)
            .map_or(&[], |master| &master.discovery_errors),
        discovery_errors_total: facts.discovery_errors,
        warnings,
        version,
    }
}

/// The report of a finished job, if its file has one.
pub fn report<'a>(facts: &JobFacts, master: Option<&'a Master>) -> Option<&'a Report> {
    master?.report.as_ref().filter(|_| facts.state.is_final())
}
