//! Jobs that could not be read at the start: they are tried again, until they can.
//!
//! What flows in: their ids. What flows out: the same jobs to the supervisor, as if they had been
//! found at once. What must stay true: a start does not wait for them, and none is forgotten.

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

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// What it takes to go on with a job.
pub(super) struct Late {
    pub(super) setup: Setup,
    pub(super) supervisor: Supervisor,
    /// How many are left, for whoever asks how the service is.
    pub(super) left: Arc<AtomicUsize>,
    pub(super) pool: Pool,
}

impl Late {
    /// Tries until every job has been read.
    pub(super) async fn run(self, mut ids: Vec<JobId>) {
        while !ids.is_empty() {
            sleep(PAUSE).await;
            let mut left = Vec::new();
            for id in ids {
                if !self.took_up(&id).await {
                    left.push(id);
                }
            }
            ids = left;
            self.left.store(ids.len(), Ordering::Relaxed);
        }
    }

    /// Whether the job needs no further try.
    async fn took_up(&self, id: &JobId) -> bool {
        let (setup, wanted) = (self.setup.clone(), id.clone());
        let read = self.pool.run(move || supervisor::recover_one(&setup, &wanted)).await;
        let Ok(Ok(job)) = read else { return false };
        let Some(job) = job else { return true };
        tracing::info!(%id, "a job that could not be read at the start goes on");
        self.supervisor.resume(job).await;
        true
    }
}
