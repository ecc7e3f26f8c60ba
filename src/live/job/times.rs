//! The times of a job: the newest in its files, and the estimates of its end.
//!
//! Input: the job's files after a change. Output: times. Invariant: the lock of the estimates is a
//! leaf.

use super::LiveJob;
use crate::{live::job_data::JobData, model::time::Timestamp};
use std::{sync::PoisonError, time::Instant};

impl LiveJob {
    /// The newest time in any of the job's files.
    pub fn newest_time(&self) -> Option<Timestamp> {
        self.with(|data| {
            let of_job =
                data.master.iter().flat_map(|master| [master.started_at, master.last_aggregation]);
            let of_repositories = data.repositories.values().map(|entry| &entry.status);
            let of_repositories = of_repositories
                .flat_map(|status| [status.started_at, status.last_update, status.completed_at]);
            of_job.chain(of_repositories).flatten().max()
        })
    }

    /// Compares the estimate with those before it, or with the end.
    pub(super) fn note_estimate(&self, data: &JobData) {
        let elapsed = data.elapsed.seconds(Instant::now());
        let mut estimates = self.estimates.lock().unwrap_or_else(PoisonError::into_inner);
        estimates.note(&data.facts, elapsed, self.job_index.estimate_errors());
    }
}
