//! How scans ended and how long they took, counted where the loop sees an end.

use crate::{measure::Histogram, model::RepoState};
use std::time::Duration;

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
