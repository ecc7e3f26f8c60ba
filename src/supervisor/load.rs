//! How busy the supervisor is: what its loop publishes, and the places in its queue.
//!
//! Input: counts of the loop. Output: the counts, and permits of the queue.
//!
//! Invariant: at most as many jobs wait for their first scan as there are permits, unless they were
//! found at start.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The load of the supervisor; shared by its loop and its handles.
#[derive(Debug)]
pub(super) struct Load {
    queue_permits: Arc<Semaphore>,
    running: AtomicUsize,
    queued: AtomicUsize,
}

impl Load {
    pub(super) fn new(max_queued_jobs: usize) -> Self {
        Self {
            queue_permits: Arc::new(Semaphore::new(max_queued_jobs)),
            running: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// Reserves a permit of the queue of jobs that wait for their first scan; `None` if the queue
    /// is full.
    pub(super) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queue_permits).try_acquire_owned().ok()
    }

    /// Stores how many scanners run and how many repositories wait.
    pub(super) fn note(&self, running: usize, queued: usize) {
        self.running.store(running, Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// How many scanners run and how many repositories wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.queued.load(Ordering::Relaxed))
    }
}
