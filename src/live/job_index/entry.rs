//! The row of a job, which the job and the index share, and its place in the list.
//!
//! Input: rows. Output: the newest row of a job with its versions. Invariants: a row is read and replaced under the lock
//! of its entry alone.

use super::super::elapsed::Elapsed;
use crate::model::{JobId, JobState, progress::JobFacts, state::Summary, time::Timestamp};
use chrono::Utc;
use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The row of one job.
#[derive(Debug, Clone)]
pub(in crate::live) struct JobRow {
    pub(in crate::live) facts: JobFacts,
    pub(in crate::live) elapsed: Elapsed,
    /// Why the job failed.
    pub(in crate::live) error: Option<Arc<str>>,
    /// The final state has been published.
    pub(in crate::live) ended: bool,
}

/// The row of a job and its versions, shared by the job and the index.
#[derive(Debug)]
pub(in crate::live) struct JobEntry {
    id: JobId,
    published: Mutex<Published>,
}

/// The newest row of a job, and the versions of its row and its final state; 0 means none.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) row: JobRow,
    pub(super) version: u64,
    pub(super) end: u64,
}

/// The sort key of a job: its start time, then its id (ours are sortable).
#[derive(Debug, Clone)]
pub(super) struct ByStart {
    created_at: Timestamp,
    pub(super) entry: Arc<JobEntry>,
}

impl JobRow {
    /// The row of a job of which no file has been read.
    pub(in crate::live) fn new(id: JobId) -> Self {
        let facts = JobFacts {
            id,
            url: None,
            state: JobState::Initializing,
            summary: Summary::default(),
            skipped: 0,
            discovering: false,
            discovery_errors: 0,
            started_at: None,
            folder_time: Utc::now(),
            completed_at: None,
            error: None,
            schedule: None,
            fraction: 0.0,
            paused: false,
            archived: false,
        };
        Self { facts, elapsed: Elapsed::default(), error: None, ended: false }
    }
}

impl JobEntry {
    /// An entry of a job that is not in the index yet.
    pub(in crate::live) fn new(row: JobRow) -> Arc<Self> {
        let id = row.facts.id.clone();
        Arc::new(Self { id, published: Mutex::new(Published { row, version: 0, end: 0 }) })
    }

    pub(in crate::live) fn id(&self) -> &JobId {
        &self.id
    }

    /// Calls `read` with the newest row.
    pub(in crate::live) fn with_row<T>(&self, read: impl FnOnce(&JobRow) -> T) -> T {
        read(&self.published().row)
    }

    pub(super) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// Whether this row has the same text as the newest one.
    pub(super) fn shows_same(&self, row: &JobRow) -> bool {
        self.row.ended == row.ended && self.row.facts.has_same_row_as(&row.facts)
    }
}

impl ByStart {
    pub(super) fn of(entry: &Arc<JobEntry>, facts: &JobFacts) -> Self {
        Self { created_at: facts.created_at(), entry: Arc::clone(entry) }
    }
}

impl Ord for ByStart {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.created_at, &self.entry.id).cmp(&(other.created_at, &other.entry.id))
    }
}

impl PartialOrd for ByStart {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByStart {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByStart {}
