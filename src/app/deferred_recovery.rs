//! Recovers jobs that could not be read at the start, by retrying until they can be read.
//!
//! Input: their ids. Output: the recovered jobs, for the supervisor. Invariants: the start does not
//! wait for these jobs; none of them is forgotten.

use crate::{
    model::JobId,
    pool::Pool,
    supervisor::{self, Setup, Supervisor},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// The retry loop and what it needs.
pub(super) struct DeferredRecovery {
    pub(super) setup: Setup,
    pub(super) supervisor: Supervisor,
    /// The number of jobs that are not recovered yet, for /health.
    pub(super) remaining: Arc<AtomicUsize>,
    pub(super) pool: Pool,
}

impl DeferredRecovery {
    /// Retries until every job has been read.
    pub(super) async fn run(self, mut ids: Vec<JobId>) {
        while !ids.is_empty() {
            sleep(PAUSE).await;
            let mut unread = Vec::new();
            for id in ids {
                if !self.recover(&id).await {
                    unread.push(id);
                }
            }
            ids = unread;
            self.remaining.store(ids.len(), Ordering::Relaxed);
        }
    }

    /// Tries to recover a job; false if it has to be retried.
    async fn recover(&self, id: &JobId) -> bool {
        let (setup, job_id) = (self.setup.clone(), id.clone());
        let read = self.pool.run(move || supervisor::recover_one(&setup, &job_id)).await;
        let Ok(Ok(job)) = read else { return false };
        let Some(job) = job else { return true };
        tracing::info!(job = %id, "recovered a job that could not be read at the start");
        self.supervisor.resume(job).await;
        true
    }
}
