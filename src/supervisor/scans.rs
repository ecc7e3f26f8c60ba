//! How scans ended and how long they took, counted where the loop sees an end.

use super::overdue::Standstills;
use crate::{
    measure::Histogram,
    model::{FailureKind, RepoState, retry::MAY_PASS},
};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// From a repository of a few files to one that is at the end of its deadline.
const BOUNDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// The durations of all scans that ended in this run of the server.
#[derive(Debug)]
pub struct Scans {
    completed: Histogram,
    failed: Histogram,
    timed_out: Histogram,
    cancelled: Histogram,
    interrupted: Histogram,
    /// In the order of [`MAY_PASS`].
    retries: [AtomicU64; MAY_PASS.len()],
    standstills: Standstills,
}

impl Scans {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new(BOUNDS);
        Self {
            completed: histogram(),
            failed: histogram(),
            timed_out: histogram(),
            cancelled: histogram(),
            interrupted: histogram(),
            retries: Default::default(),
            standstills: Standstills::default(),
        }
    }

    /// A scan has ended in this state; in none that is final if its processes were killed.
    pub(super) fn note(&self, state: RepoState, took: Duration) {
        let histogram = match state {
            RepoState::Completed => &self.completed,
            RepoState::Failed => &self.failed,
            RepoState::TimedOut => &self.timed_out,
            RepoState::Cancelled => &self.cancelled,
            RepoState::Pending | RepoState::Working(_) => &self.interrupted,
        };
        histogram.observe(took);
    }

    /// A repository is tried again, for this cause.
    pub(super) fn note_retry(&self, cause: FailureKind) {
        if let Some(place) = MAY_PASS.iter().position(|it| *it == cause) {
            self.retries[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every cause that may pass, with how often a repository was tried again for it.
    pub fn retries_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.retries.iter().map(|it| it.load(Ordering::Relaxed));
        MAY_PASS.iter().map(|it| it.as_str()).zip(counts)
    }

    /// The scans whose shims are stopped now.
    pub fn standstills(&self) -> &Standstills {
        &self.standstills
    }

    /// Every outcome with its durations.
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
