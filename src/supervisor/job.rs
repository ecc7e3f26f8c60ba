//! A job in the supervisor's hands: its plan, where each repository stands, and the
//! `master.json` that follows from both.

use super::retry::Next;
use crate::model::{
    JobId, JobState, RepoState,
    master::{FailedRepository, Master, Options, ScanType, end_state},
    plan::Plan,
    repository::RepositoryStatus,
    time::Timestamp,
};
use std::collections::BTreeMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

/// A job that is to be created, or was found.
#[derive(Debug)]
pub struct NewJob {
    pub id: JobId,
    pub master: Master,
    /// Where it is not complete, the repositories are listed later.
    pub plan: Plan,
    /// Its place among the jobs that wait for their first scan.
    pub place: Option<OwnedSemaphorePermit>,
}

/// A job whose repositories have to be listed, by whoever knows how.
#[derive(Debug, Clone)]
pub struct Planning {
    pub id: JobId,
    /// As it was submitted.
    pub url: String,
    pub options: Options,
    /// Cancelled when nobody wants the plan any more.
    pub stop: CancellationToken,
}

/// What was found out.
#[derive(Debug, Clone)]
pub enum Planned {
    Repositories {
        scan_type: ScanType,
        plan: Plan,
    },
    /// Why there is no plan, for people.
    Failed(String),
}

/// One repository, as far as the next attempt needs it.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) git_url: String,
    pub(super) next_attempt: u64,
    pub(super) interruptions: u64,
    /// Which retry of those that were asked for the next attempt is.
    pub(super) retries: u64,
    /// How often in a row a shim ended before it claimed its attempt.
    pub(super) false_starts: u32,
    /// How often in a row no shim could be started, or the disk did not answer.
    pub(super) setbacks: u32,
    stand: Stand,
}

#[derive(Debug, PartialEq)]
enum Stand {
    Waiting,
    Running,
    Over { state: RepoState, error: Option<String> },
}

/// One job.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Job {
    pub(super) master: Master,
    pub(super) repositories: BTreeMap<u32, Repository>,
    /// Every repository is over; the job goes once its end is on the disk.
    pub(super) over: bool,
    /// Whether `master.json` lags behind.
    pub(super) dirty: bool,
    /// Whether the last try to write it has failed.
    pub(super) unwritten: bool,
    /// Its place in the queue, given back when its first scan starts.
    place: Option<OwnedSemaphorePermit>,
    /// While its repositories are being listed: ends that.
    pub(super) planning: Option<CancellationToken>,
    /// It is known which repositories it has.
    planned: bool,
}

impl Job {
    pub(super) fn new(job: NewJob) -> Self {
        let mut new = Self {
            master: job.master,
            repositories: BTreeMap::new(),
            over: false,
            dirty: false,
            unwritten: false,
            place: job.place,
            planning: None,
            planned: false,
        };
        // What it waited for under another server.
        new.master.waiting_for = None;
        if job.plan.complete {
            new.take_plan(&job.plan);
        }
        new
    }

    /// Takes in which repositories it has.
    pub(super) fn take_plan(&mut self, plan: &Plan) {
        self.repositories = plan
            .counted()
            .map(|(index, planned)| {
                let repository = Repository {
                    name: planned.repo_name.clone(),
                    git_url: planned.git_url.clone(),
                    next_attempt: 1,
                    interruptions: 0,
                    retries: 0,
                    false_starts: 0,
                    setbacks: 0,
                    stand: Stand::Waiting,
                };
                (index, repository)
            })
            .collect();
        self.planned = true;
        self.master.waiting_for = None;
        let total = Some(self.repositories.len() as u64);
        self.dirty |= self.master.total_repositories != total;
        self.master.total_repositories = total;
    }

    /// Whether it is known which repositories it has.
    pub(super) fn is_planned(&self) -> bool {
        self.planned
    }

    /// Whether somebody still wants to know which repositories it has: not of one whose cancel is being
    /// written.
    pub(super) fn is_being_listed(&self) -> bool {
        self.planning.is_some() && !self.is_cancelled()
    }

    /// So many repositories are known by now.
    pub(super) fn note_found(&mut self, count: u64) {
        self.master.total_repositories = Some(count);
        self.dirty = true;
    }

    /// What it waits for before its repositories are listed, if it does.
    pub(super) fn note_waiting_for(&mut self, reason: Option<String>) {
        self.master.waiting_for = reason;
        self.dirty = true;
    }

    /// Its repositories could not be listed.
    pub(super) fn fail(&mut self, error: String, now: Timestamp) {
        self.master.waiting_for = None;
        self.master.status = Some(JobState::Failed.to_string());
        self.master.total_repositories = Some(0);
        self.master.error = Some(error);
        self.master.completed_at = Some(now);
        self.dirty = true;
    }

    pub(super) fn scan_type(&self) -> ScanType {
        self.master.scan_type.unwrap_or(ScanType::Repository)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.master.final_state() == Some(JobState::Cancelled)
    }

    /// The first scan runs, and `master.json` does not say so yet.
    pub(super) fn has_just_begun(&self) -> bool {
        self.dirty && self.master.status.as_deref() == Some(JobState::Initializing.as_str())
    }

    /// A shim of this repository runs.
    pub(super) fn note_running(&mut self, index: u32) {
        self.place = None;
        self.stand(index, Stand::Running);
    }

    /// The repository waits (again).
    pub(super) fn note_waiting(&mut self, index: u32) {
        self.stand(index, Stand::Waiting);
    }

    /// What the repository's next attempt is, by what was found on the disk.
    pub(super) fn expect_attempt(&mut self, index: u32, next: Next) {
        if let Some(repository) = self.repositories.get_mut(&index) {
            // Another attempt than the one that could not begin.
            if repository.next_attempt != next.attempt {
                repository.false_starts = 0;
            }
            repository.next_attempt = next.attempt;
            repository.interruptions = next.interruptions;
            repository.retries = next.retries;
        }
    }

    /// The repository is over, as its status file says.
    pub(super) fn note_over(&mut self, index: u32, status: &RepositoryStatus) {
        self.stand(index, Stand::Over { state: status.state, error: status.error.clone() });
    }

    /// Somebody wants the job to end: it is called cancelled from now on.
    pub(super) fn cancel(&mut self, now: Timestamp) {
        self.master.status = Some(JobState::Cancelled.to_string());
        self.master.completed_at.get_or_insert(now);
        self.master.waiting_for = None;
        if self.planning.is_some() {
            // What its forge has listed by now is not going to be scanned.
            self.master.total_repositories = Some(0);
        }
        self.dirty = true;
    }

    /// Every repository is over: names the job's end.
    pub(super) fn finish(&mut self, now: Timestamp) {
        self.update_lists(now);
        if self.master.final_state().is_some() {
            return;
        }
        let count = |wanted: fn(RepoState) -> bool| {
            self.repositories
                .values()
                .filter(|it| matches!(it.stand, Stand::Over { state, .. } if wanted(state)))
                .count() as u64
        };
        let completed = count(|state| state == RepoState::Completed);
        let failed = count(RepoState::is_failure);
        let last = self.repositories.values().find_map(|it| match &it.stand {
            Stand::Over { state, error } => Some((*state, error.clone())),
            _ => None,
        });
        let (last, error) = last.unwrap_or((RepoState::Completed, None));
        let end = end_state(self.scan_type(), completed, failed, last);
        if self.scan_type() != ScanType::Group && end != JobState::Completed {
            self.master.error = error;
        }
        self.master.status = Some(end.to_string());
        self.master.completed_at = Some(now);
    }

    /// Brings master's lists up to date; called before each write, not at each change: a group
    /// has thousands of names.
    pub(super) fn update_lists(&mut self, now: Timestamp) {
        let (mut pending, mut completed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let mut running = false;
        for repository in self.repositories.values() {
            match &repository.stand {
                Stand::Waiting => pending.push(repository.name.clone()),
                Stand::Running => running = true,
                Stand::Over { state: RepoState::Completed, .. } => {
                    completed.push(repository.name.clone());
                }
                Stand::Over { state, error } => failed.push(FailedRepository {
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

    fn stand(&mut self, index: u32, stand: Stand) {
        if let Some(repository) = self.repositories.get_mut(&index) {
            repository.stand = stand;
            self.dirty = true;
        }
    }
}
