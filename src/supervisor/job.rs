//! A job as the supervisor holds it: its plan, the state of each repository, and the contents of
//! `master.json`.
//!
//! Input: plans, and states of repositories. Output: `master.json`.
//!
//! Invariants: lists are brought up to date before each write, not at each change.

mod requests;

use super::{
    disposition::{Disposition, NextAttempt},
    load::QueuePermit,
    throttling::Host,
};
use crate::model::{
    FailureKind, JobId, JobState, RepoState,
    address::Origin,
    attempt::AttemptRecord,
    listing::{ListingError, ListingErrors, PlanPage, StoredPlan},
    master::{FailedRepository, Master, Options, ScanType, end_state},
    plan::{Plan, PlannedRepository},
    report::Report,
    repository::RepositoryStatus,
    time::Timestamp,
};
use chrono::Utc;
use std::collections::BTreeMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A job that is to be created, or was found at start.
#[derive(Debug)]
pub struct NewJob {
    pub id: JobId,
    pub master: Master,
    /// If the plan is incomplete, the repositories are listed later.
    pub plan: Plan,
    /// Its permit of the queue of jobs that wait for their first scan.
    pub permit: Option<QueuePermit>,
}

/// An unfinished job that was found at start, or a finished one that is reopened.
#[derive(Debug)]
pub struct RecoveredJob {
    pub id: JobId,
    pub master: Master,
    /// If the plan is incomplete, the listing continues.
    pub plan: StoredPlan,
    pub(super) repositories: BTreeMap<u32, Disposition>,
}

/// A request to list the repositories of a job.
#[derive(Debug, Clone)]
pub struct Planning {
    pub id: JobId,
    /// The submitted URL.
    pub url: String,
    pub options: Options,
    /// Cancelled when the plan is no longer needed.
    pub stop: CancellationToken,
}

/// The answer to a [`Planning`].
#[derive(Debug, Clone)]
pub enum Planned {
    /// The URL names one repository: the whole plan.
    Repository(Plan),
    /// A page of a group's list.
    Page(PlanPage),
    /// The list of the group is complete.
    Complete,
    /// The listing has ended, and something could not be listed. If it ended before the last page:
    /// why.
    Ended(Option<ListingError>),
    /// Why nothing can be listed, in plain English.
    Failed(String),
}

impl Planned {
    /// What kind of scan the job is.
    pub(super) fn scan_type(&self) -> ScanType {
        match self {
            Self::Repository(_) => ScanType::Repository,
            Self::Page(_) | Self::Complete | Self::Ended(_) | Self::Failed(_) => ScanType::Group,
        }
    }
}

/// One repository, with what its next attempt needs.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) git_url: String,
    pub(super) next_attempt: u64,
    pub(super) interruptions: u64,
    /// The number of the next attempt among the requested retries; 0 for the first try.
    pub(super) retries: u64,
    /// Nothing else is scanned during the next attempt.
    pub(super) alone: bool,
    /// How often in a row a shim exited before it claimed its attempt.
    pub(super) false_starts: u32,
    /// How often in a row no shim could be started, or the disk did not answer.
    pub(super) setbacks: u32,
    state: QueueState,
}

impl Repository {
    /// The record that the shim of the next attempt would write.
    pub(super) fn record(&self) -> AttemptRecord {
        AttemptRecord {
            schema: 1,
            attempt: self.next_attempt,
            interruptions: self.interruptions,
            retries: self.retries,
            alone: self.alone,
            started_at: Utc::now(),
            remote: None,
        }
    }
}

#[derive(Debug, PartialEq)]
enum QueueState {
    Waiting,
    Running,
    Finished { state: RepoState, kind: Option<FailureKind>, error: Option<String> },
}

/// The host of a URL.
fn host_of(url: &str) -> Option<Host> {
    Some(Origin::of(&url::Url::parse(url).ok()?)?.to_string().into())
}

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    id: JobId,
    pub(super) master: Master,
    pub(super) repositories: BTreeMap<u32, Repository>,
    /// Every repository is finished; the job is dropped once its final state is on the disk.
    pub(super) finished: bool,
    /// Whether `master.json` is out of date.
    pub(super) dirty: bool,
    /// Whether the last write of `master.json` failed.
    pub(super) unwritten: bool,
    /// Its queue permit; released when the first scan starts.
    permit: Option<QueuePermit>,
    /// While its repositories are being listed: cancels the listing.
    pub(super) planning: Option<CancellationToken>,
    /// When `repositories.json` may be written next, while repositories are being listed.
    pub(super) publish_at: Option<Instant>,
    /// The host of its repositories: those of a group are all at the group's origin.
    pub(super) host: Option<Host>,
    /// How many repositories the plan skips, by reason; nothing else is counted in it.
    skipped: Report,
}

impl Job {
    pub(super) fn new(job: NewJob) -> Self {
        let mut new = Self {
            id: job.id,
            master: job.master,
            repositories: BTreeMap::new(),
            finished: false,
            dirty: false,
            unwritten: false,
            permit: job.permit,
            planning: None,
            publish_at: None,
            host: None,
            skipped: Report::default(),
        };
        new.host = new.master.group_url.as_deref().and_then(host_of);
        // Whatever it waited for under an earlier server is obsolete.
        new.master.waiting_for = None;
        new.master.skipped_repositories = Some(0);
        new.take_rows(&job.plan.repositories);
        new.master.discovering = !job.plan.complete && new.master.final_state().is_none();
        new.describe_waiting();
        new
    }

    /// Takes in rows of the plan that follow those that are known.
    pub(super) fn take_rows(&mut self, rows: &[PlannedRepository]) {
        let counted = rows.iter().filter_map(|row| Some((row.repo_index?, row)));
        self.repositories.extend(counted.map(|(index, planned)| {
            let repository = Repository {
                name: planned.repo_name.clone(),
                git_url: planned.git_url.clone(),
                next_attempt: 1,
                interruptions: 0,
                retries: 0,
                alone: false,
                false_starts: 0,
                setbacks: 0,
                state: QueueState::Waiting,
            };
            (index, repository)
        }));
        // The submitted URL may have another form.
        let first = self.repositories.values().next();
        self.host = first.map_or(self.host.take(), |repository| host_of(&repository.git_url));
        self.skipped.count_skipped(rows);
        let skipped = rows.iter().filter(|row| row.skipped.is_some()).count() as u64;
        let total = Some(self.repositories.len() as u64);
        self.dirty |= self.master.total_repositories != total || skipped > 0;
        self.master.total_repositories = total;
        *self.master.skipped_repositories.get_or_insert(0) += skipped;
    }

    /// Adds an error of the listing.
    pub(super) fn note_listing_error(&mut self, error: ListingError) {
        let first = std::mem::take(&mut self.master.discovery_errors);
        let mut errors = ListingErrors { first, total: self.master.discovery_errors_total };
        errors.add(error);
        self.master.set_discovery_errors(errors);
        self.dirty = true;
    }

    /// The listing has ended: nothing more is added to the plan.
    pub(super) fn end_listing(&mut self) {
        self.planning = None;
        self.master.waiting_for = None;
        self.master.discovering = false;
        self.dirty = true;
    }

    /// Whether the plan is still needed: not for a job whose cancel is being written.
    pub(super) fn is_being_listed(&self) -> bool {
        self.planning.is_some() && !self.is_cancelled()
    }

    /// Stores what the job waits for before its repositories are listed, if anything.
    pub(super) fn note_waiting_for(&mut self, reason: Option<String>) {
        self.master.waiting_for = reason;
        self.dirty = true;
    }

    /// Fails the job because its repositories could not be listed.
    pub(super) fn fail(&mut self, error: String, now: Timestamp) {
        self.end_listing();
        self.master.status = Some(JobState::Failed.to_string());
        self.master.error = Some(error);
        self.master.completed_at = Some(now);
    }

    pub(super) fn scan_type(&self) -> ScanType {
        self.master.scan_type.unwrap_or(ScanType::Repository)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.master.final_state() == Some(JobState::Cancelled)
    }

    /// The first scan runs, and `master.json` does not show it yet.
    pub(super) fn has_just_begun(&self) -> bool {
        self.dirty && self.master.status.as_deref() == Some(JobState::Initializing.as_str())
    }

    /// A shim of this repository runs.
    pub(super) fn note_running(&mut self, index: u32) {
        self.permit = None;
        self.set_state(index, QueueState::Running);
    }

    /// The repository waits for its first or next attempt.
    pub(super) fn note_waiting(&mut self, index: u32) {
        self.set_state(index, QueueState::Waiting);
    }

    /// Stores the repository's next attempt, as determined from the disk.
    pub(super) fn expect_attempt(&mut self, index: u32, next: NextAttempt) {
        if let Some(repository) = self.repositories.get_mut(&index) {
            // A different attempt from the one that failed to start.
            if repository.next_attempt != next.attempt {
                repository.false_starts = 0;
            }
            // An attempt that was stopped is repeated in the same way.
            repository.alone = next.alone || repository.alone && repository.retries == next.retries;
            repository.next_attempt = next.attempt;
            repository.interruptions = next.interruptions;
            repository.retries = next.retries;
        }
    }

    /// The repository is finished; `status` is its final status.
    pub(super) fn note_finished(&mut self, index: u32, status: &RepositoryStatus) {
        let kind = status.failure.as_ref().map(|failure| failure.kind);
        let (state, error) = (status.state, status.error.clone());
        self.set_state(index, QueueState::Finished { state, kind, error });
    }

    /// Marks the job cancelled.
    pub(super) fn cancel(&mut self, now: Timestamp) {
        self.master.status = Some(JobState::Cancelled.to_string());
        self.master.completed_at.get_or_insert(now);
        self.master.waiting_for = None;
        self.end_requests();
        self.master.discovering = false;
        self.dirty = true;
    }

    /// Sets the job's final state once every repository is finished.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.update_lists(now);
        self.end_requests();
        self.master.report = Some(self.report());
        if self.master.final_state().is_some() {
            return;
        }
        let count = |wanted: fn(RepoState) -> bool| {
            self.repositories
                .values()
                .filter(|repository| matches!(repository.state, QueueState::Finished { state, .. } if wanted(state)))
                .count() as u64
        };
        let completed = count(|state| state == RepoState::Completed);
        let failed = count(RepoState::is_failure);
        let last = self.repositories.values().find_map(|repository| match &repository.state {
            QueueState::Finished { state, error, .. } => Some((*state, error.clone())),
            _ => None,
        });
        let (last, error) = last.unwrap_or((RepoState::Completed, None));
        let end = match end_state(self.scan_type(), completed, failed, last) {
            // What could not be listed is missing.
            JobState::Completed if self.master.discovery_errors_total > 0 => {
                JobState::CompletedWithErrors
            }
            end => end,
        };
        if self.scan_type() != ScanType::Group && end != JobState::Completed {
            self.master.error = error;
        }
        self.master.status = Some(end.to_string());
        self.master.completed_at = Some(now);
    }

    /// Brings the lists of `master.json` up to date. Called before each write, not at each change,
    /// because a group has thousands of names.
    pub(super) fn update_lists(&mut self, now: Timestamp) {
        let (mut pending, mut completed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut running = false;
        for repository in self.repositories.values() {
            match &repository.state {
                QueueState::Waiting => pending.push(repository.name.clone()),
                QueueState::Running => running = true,
                QueueState::Finished { state: RepoState::Completed, .. } => {
                    completed.push(repository.name.clone());
                }
                QueueState::Finished { state, error, .. } => failed.push(FailedRepository {
                    repo_name: Some(repository.name.clone()),
                    error: error.clone().unwrap_or_else(|| "Unknown error".to_owned()),
                    status: state.to_string(),
                }),
            }
        }
        if self.master.final_state().is_none()
            && (running || !completed.is_empty() || !failed.is_empty())
        {
            self.master.status = Some(JobState::InProgress.to_string());
        }
        self.master.pending_repositories = Some(pending);
        self.master.completed_repositories = Some(completed);
        self.master.failed_repositories = Some(failed);
        self.master.last_aggregation = Some(now);
        self.dirty = false;
    }

    fn set_state(&mut self, index: u32, state: QueueState) {
        if let Some(repository) = self.repositories.get_mut(&index) {
            repository.state = state;
            self.dirty = true;
        }
    }
}
