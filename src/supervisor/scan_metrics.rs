//! Metrics of scans: how they ended, how long they took, how often they were retried.
//!
//! Input: outcomes, as the loop sees them. Output: counts for /metrics and /health. Invariant: each
//! attempt is counted once.

use super::stopped_shims::StoppedShims;
use crate::{
    measure::{Histogram, PerMinute},
    model::{FailureKind, RepoState, retry::TRANSIENT},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// From a repository of a few files to one that reaches its deadline.
const BOUNDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// The metrics of all scans that ended in this server run.
#[derive(Debug)]
pub struct ScanMetrics {
    completed: Histogram,
    failed: Histogram,
    timed_out: Histogram,
    cancelled: Histogram,
    interrupted: Histogram,
    /// Repositories that reached a final state.
    finished: PerMinute,
    /// In the order of [`FailureKind::ALL`].
    failures: [AtomicU64; FailureKind::ALL.len()],
    /// In the order of [`TRANSIENT`].
    retries: [AtomicU64; TRANSIENT.len()],
    stopped_shims: Arc<StoppedShims>,
}

impl ScanMetrics {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new(BOUNDS);
        Self {
            completed: histogram(),
            failed: histogram(),
            timed_out: histogram(),
            cancelled: histogram(),
            interrupted: histogram(),
            finished: PerMinute::new(),
            failures: Default::default(),
            retries: Default::default(),
            stopped_shims: Arc::default(),
        }
    }

    /// Counts a scan that ended in this state; the state is not final if its processes were killed.
    pub(super) fn note(&self, state: RepoState, took: Duration) {
        let histogram = match state {
            RepoState::Completed => &self.completed,
            RepoState::Failed => &self.failed,
            RepoState::TimedOut => &self.timed_out,
            RepoState::Cancelled => &self.cancelled,
            RepoState::Pending | RepoState::Working(_) => &self.interrupted,
        };
        histogram.observe(took);
        if state.is_final() {
            self.finished.observe();
        }
    }

    /// How many scans reached a final state in each minute of the last hour, or since the start; the
    /// last minute is the current one.
    pub fn finished_per_minute(&self) -> Vec<u32> {
        self.finished.counts()
    }

    /// Counts a repository that failed for this cause, and is not retried by itself.
    pub(super) fn note_failure(&self, cause: FailureKind) {
        if let Some(slot) = FailureKind::ALL.iter().position(|known| *known == cause) {
            self.failures[slot].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every cause, with the number of repositories that failed for it.
    pub fn failures_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        FailureKind::ALL.iter().map(|cause| cause.as_str()).zip(counts)
    }

    /// Counts a retry with this cause.
    pub(super) fn note_retry(&self, cause: FailureKind) {
        if let Some(slot) = TRANSIENT.iter().position(|known| *known == cause) {
            self.retries[slot].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every transient cause, with the number of retries that it caused.
    pub fn retries_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.retries.iter().map(|count| count.load(Ordering::Relaxed));
        TRANSIENT.iter().map(|cause| cause.as_str()).zip(counts)
    }

    /// The scans whose shims are stopped now.
    pub fn stopped_shims(&self) -> &Arc<StoppedShims> {
        &self.stopped_shims
    }

    /// The durations by outcome.
    pub fn by_outcome(&self) -> [(&'static str, &Histogram); 5] {
        [
            ("completed", &self.completed),
            ("failed", &self.failed),
            ("timeout", &self.timed_out),
            ("cancelled", &self.cancelled),
            ("interrupted", &self.interrupted),
        ]
    }
}
