//! What is known about jobs that are brought back: which are on their way, which came lately, and which are not in the archive.
//!
//! Input: outcomes. Output: facts, in memory. Invariants: the memory is bounded, and nothing here lasts beyond a restart.

use super::Availability;
use crate::model::JobId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// How many jobs are asked for at once.
const QUERIES_AT_ONCE: usize = 32;
/// How long an absence is remembered, and how many of them are.
const ABSENT_FOR: Duration = Duration::from_secs(30);
const MOST_ABSENT: usize = 4096;
/// How long a job stays at least that was brought back.
const STAYS_FOR: Duration = Duration::from_mins(10);

/// What is being brought back, and what was.
#[derive(Debug)]
pub(super) struct Fetches {
    known: Mutex<Known>,
    /// Questions for single jobs at once.
    pub(super) queries: Semaphore,
}

impl Default for Fetches {
    fn default() -> Self {
        Self { known: Mutex::default(), queries: Semaphore::new(QUERIES_AT_ONCE) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) running: HashMap<JobId, watch::Receiver<Option<Availability>>>,
    absent: HashMap<JobId, Instant>,
    fetched: HashMap<JobId, Instant>,
}

impl Fetches {
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a job was brought back lately.
    pub(super) fn was_fetched(&self, id: &JobId) -> bool {
        self.with(|known| {
            known.fetched.retain(|_, at| at.elapsed() < STAYS_FOR);
            known.fetched.contains_key(id)
        })
    }

    pub(super) fn is_absent(&self, id: &JobId) -> bool {
        self.with(|known| known.absent.get(id).is_some_and(|at| at.elapsed() < ABSENT_FOR))
    }

    pub(super) fn note_absence(&self, id: &JobId) {
        self.with(|known| {
            if known.absent.len() >= MOST_ABSENT {
                known.absent.clear();
            }
            known.absent.insert(id.clone(), Instant::now());
        });
    }

    /// Notes that a job is being brought back into place.
    pub(super) fn note_fetched(&self, id: &JobId) {
        self.with(|known| known.fetched.insert(id.clone(), Instant::now()));
    }

    /// Forgets that a job is absent.
    pub(super) fn appeared(&self, id: &JobId) {
        self.with(|known| known.absent.remove(id));
    }
}
