//! How busy the supervisor is: what its loop publishes, and the places in its queue.
//!
//! Input: counts of the loop. Output: the counts, and permits of the queue.
//!
//! Invariant: at most as many jobs wait for their first scan as there are permits, unless they were
//! found at start.

use super::limits::ScanLimits;
use super::scheduler::{WaitingJob, Weights, expected_order};
use crate::model::JobId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The load of the supervisor; shared by its loop and its handles.
#[derive(Debug)]
pub(super) struct Load {
    queue_permits: Arc<Semaphore>,
    /// How many permits there are, and how many jobs hold one beyond a limit that was lowered.
    size: Mutex<(usize, usize)>,
    running: AtomicUsize,
    queued: AtomicUsize,
    waiting: Mutex<Waiting>,
    limits: Mutex<ScanLimits>,
    weights: Mutex<Weights>,
}

/// Which job waits for its first scan since when, with a number that makes the keys unique.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    jobs: BTreeMap<(Instant, u64), Entry>,
}

/// A job that waits for its first scan.
#[derive(Debug, Default)]
struct Entry {
    /// Absent while the job is being created.
    job: Option<WaitingJob>,
    /// It waits until it is resumed.
    paused: bool,
}

/// A permit of the queue; the job waits for its first scan until it is dropped.
#[derive(Debug)]
pub struct QueuePermit {
    _permit: OwnedSemaphorePermit,
    load: Arc<Load>,
    entry: (Instant, u64),
}

impl QueuePermit {
    /// Records whose permit it is, and whether the job waits until it is resumed.
    pub(super) fn describe(&self, job: WaitingJob, paused: bool) {
        if let Some(entry) = self.load.waiting().jobs.get_mut(&self.entry) {
            *entry = Entry { job: Some(job), paused };
        }
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.load.waiting().jobs.remove(&self.entry);
    }
}

impl Load {
    /// For a queue of this many jobs, and this many scans at once.
    pub(super) fn new(max_queued_jobs: usize, scans: usize) -> Self {
        Self {
            queue_permits: Arc::new(Semaphore::new(max_queued_jobs)),
            size: Mutex::new((max_queued_jobs, 0)),
            running: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            waiting: Mutex::default(),
            limits: Mutex::new(ScanLimits::of(scans)),
            weights: Mutex::default(),
        }
    }

    /// Reserves a permit of the queue of jobs that wait for their first scan; `None` if the queue
    /// is full.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<QueuePermit> {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits that were in use when the limit was lowered may be free by now.
        size.1 -= self.queue_permits.forget_permits(size.1);
        if size.1 > 0 {
            return None;
        }
        let permit = Arc::clone(&self.queue_permits).try_acquire_owned().ok()?;
        let mut waiting = self.waiting();
        waiting.last += 1;
        let entry = (Instant::now(), waiting.last);
        waiting.jobs.insert(entry, Entry::default());
        drop(waiting);
        Some(QueuePermit { _permit: permit, load: Arc::clone(self), entry })
    }

    /// How long the oldest job has waited for its first scan; zero if none waits. A paused job waits
    /// for its user.
    pub(super) fn oldest_wait(&self) -> Duration {
        let waiting = self.waiting();
        let oldest = waiting.jobs.iter().find(|(_, entry)| !entry.paused);
        oldest.map(|((since, _), _)| since.elapsed()).unwrap_or_default()
    }

    /// The jobs that wait for their first scan, in the order in which they are expected to get slots.
    pub(super) fn waiting_jobs(&self) -> Vec<JobId> {
        let waiting = self.waiting();
        let entries = waiting.jobs.values().filter(|entry| !entry.paused);
        let jobs: Vec<WaitingJob> = entries.filter_map(|entry| entry.job.clone()).collect();
        drop(waiting);
        expected_order(jobs, &self.weights.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores the weights of users.
    pub(super) fn set_weights(&self, weights: Weights) {
        *self.weights.lock().unwrap_or_else(PoisonError::into_inner) = weights;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the number of permits. Jobs that hold one keep it.
    pub(super) fn resize(&self, max_queued_jobs: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, excess) = *size;
        let grown = max_queued_jobs.saturating_sub(before);
        let settled = grown.min(excess);
        self.queue_permits.add_permits(grown - settled);
        let excess = excess - settled + before.saturating_sub(max_queued_jobs);
        *size = (max_queued_jobs, excess - self.queue_permits.forget_permits(excess));
    }

    /// Stores how many scanners run and how many repositories wait.
    pub(super) fn note(&self, running: usize, queued: usize) {
        self.running.store(running, Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// Stores the limits of scans. Returns those before, and the new ones with the time since when
    /// there are so many slots for this reason.
    pub(super) fn note_limits(&self, now: ScanLimits) -> (ScanLimits, ScanLimits) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |limits: &ScanLimits| (limits.ceiling, limits.slots, limits.reason, limits.source);
        let since = if of(&limits) == of(&now) { limits.since } else { now.since };
        let now = ScanLimits { since, ..now };
        (std::mem::replace(&mut *limits, now.clone()), now)
    }

    /// The limits of scans.
    pub(super) fn limits(&self) -> ScanLimits {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many scanners run and how many repositories wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.queued.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a lowered limit admits more jobs than it says once the waiting ones have left, or
    /// if a raised one admits fewer.
    #[test]
    fn the_limit_can_be_changed_while_jobs_wait() {
        let load = Arc::new(Load::new(3, 1));
        let mut waiting: Vec<_> = (0..3).map(|_| load.reserve().unwrap()).collect();
        assert!(load.oldest_wait() > Duration::ZERO);
        load.resize(1);
        waiting.truncate(1);
        assert!(load.reserve().is_none(), "one waits, and one may wait");
        load.resize(2);
        waiting.push(load.reserve().unwrap());
        assert!(load.reserve().is_none());
        load.resize(1);
        load.resize(3);
        waiting.push(load.reserve().unwrap());
        assert!(load.reserve().is_none());
        waiting.clear();
        assert_eq!(load.oldest_wait(), Duration::ZERO);
        assert_eq!((0..4).filter_map(|_| load.reserve().map(std::mem::forget)).count(), 3);
    }
}
