//! Orders to shims: each tells one shim to end its scan, and why.
//!
//! Input: effects of the scheduler. Output: the order file and the signal of a shim.
//!
//! Invariants: orders to one shim are sent one after the other; an order for a shim that is being
//! started is sent once it runs.

use super::{
    RepoKey,
    actor::Actor,
    pools::Purpose,
    repositories::{Done, Phase},
};
use crate::{
    model::attempt::OrderReason,
    store::{StoreError, chain},
};

impl Actor {
    /// Orders a shim to end its scan. Orders to one shim are sent one after the other.
    pub(super) fn order(&mut self, key: &RepoKey, reason: OrderReason) {
        match self.phases.get_mut(key) {
            Some(Phase::Starting(order)) => *order = Some(reason),
            Some(Phase::Running(running)) if running.ordering => running.next = Some(reason),
            Some(Phase::Running(running)) => {
                running.ordering = true;
                if reason == OrderReason::Yield {
                    tracing::info!(repository = %key, "a job waits without a slot; a slow scan is stopped and queued again to free one");
                }
                // A shim of an earlier version does not know this reason and would treat it as a
                // cancel.
                let reason = match reason {
                    OrderReason::Yield if running.shim.started.is_none() => OrderReason::Stop,
                    reason => reason,
                };
                let shim = running.shim.clone();
                let (folder, index) = (self.setup.jobs.job(&key.job), key.index);
                let path = folder.path().to_owned();
                let work =
                    self.pools.of(Purpose::Scans).run(move || shim.end(&folder, index, reason));
                self.carry_out_one(key.clone(), async move {
                    Done::Ordered(work.await.unwrap_or_else(|panic| {
                        Err(StoreError::at("give an order in", path)(panic.into()))
                    }))
                });
            }
            Some(Phase::Finalizing) | None => {}
        }
    }

    pub(super) fn ordered(&mut self, key: &RepoKey, ordered: &Result<(), StoreError>) {
        if let Err(error) = ordered {
            tracing::error!(repository = %key, error = chain(error), "cannot order a scan to stop");
        }
        if let Some(Phase::Running(running)) = self.phases.get_mut(key) {
            running.ordering = false;
            if let Some(reason) = running.next.take() {
                self.order(key, reason);
            }
        }
    }
}
