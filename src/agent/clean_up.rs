//! Removes what is no longer needed in the agent's folder, at an interval.
//!
//! Input: the settings, the folder. Output: outdated results for reuse and leftovers of crashes are gone.
//!
//! Invariants: what running attempts use is not touched.

use super::shared::{Shared, blocking};
use crate::store::{chain, results::ResultStore, trash};
use std::{collections::BTreeSet, sync::Arc, time::SystemTime};
use tokio::time::sleep;

/// Cleans up until the agent ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let (every, retention) =
        (shared.config.jobs.cleanup_interval, shared.config.jobs.results_retention);
    let mut seen = BTreeSet::new();
    loop {
        sleep(every).await;
        let (jobs, before) = (shared.jobs.clone(), std::mem::take(&mut seen));
        let cleaned = blocking(move || {
            let now = trash::staged(&jobs);
            trash::sweep(&jobs, Some(&before))?;
            ResultStore::of(&jobs).clean(retention, SystemTime::now())?;
            Ok(now)
        });
        match cleaned.await {
            Ok(now) => seen = now,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "cannot clean up the agent's folder; the next clean-up retries"
                );
            }
        }
    }
}
