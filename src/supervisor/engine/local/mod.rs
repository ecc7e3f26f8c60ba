//! The engine of this machine: one shim per attempt, a process that outlives the server.
//!
//! Input: tasks, orders, and shims that an earlier server started. Output: attempts, and how their
//! shims exited.
//!
//! Invariants: whether a shim lives is asked of the kernel alone (record locks, process
//! descriptors); the shim writes the files of its attempt, and the server only once the shim is dead.

pub(in crate::supervisor) mod orphans;
mod shim;
mod shim_watchdog;

use super::{Attempt, Ending, Runner};
use crate::{
    model::{attempt::OrderReason, task::ShimTask},
    store::{StoreError, attempt, trash},
    supervisor::{RepoKey, Setup, disposition::LiveShim, stopped_shims::StoppedShims},
};
use shim::Awaited;
pub(in crate::supervisor) use shim::Shim;
use shim_watchdog::Watchdog;
use std::{io, path::PathBuf, sync::Arc};

/// The engine of this machine.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Local {
    setup: Setup,
    stopped_shims: Arc<StoppedShims>,
}

impl Local {
    pub(in crate::supervisor) fn new(setup: Setup, stopped_shims: Arc<StoppedShims>) -> Self {
        Self { setup, stopped_shims }
    }

    /// Starts a shim; `None` if the disk has no room for its scan. Uses the disk.
    ///
    /// # Errors
    /// If this machine refuses another process, or the disk refuses.
    pub(in crate::supervisor) fn start(
        &self,
        key: &RepoKey,
        task: &ShimTask,
    ) -> io::Result<Option<(Attempt, Ending)>> {
        let space = &self.setup.space;
        if space.obstacle_to_scan().is_some() {
            return Ok(None);
        }
        let folder = self.setup.jobs.job(&key.job);
        let scratch = trash::scratch(&folder, &key.job, key.index, task.scan.attempt);
        let registration = Some(Arc::new(space.register(scratch)));
        attempt::remove_order(&folder, key.index).map_err(io::Error::other)?;
        let (shim, awaited) = Shim::start(task)?;
        Ok(Some(self.watched(key, Shim { registration, ..shim }, awaited)))
    }

    /// Adopts a shim that another server started.
    pub(in crate::supervisor) fn adopt(
        &self,
        key: &RepoKey,
        living: LiveShim,
    ) -> (Attempt, Ending) {
        let (shim, awaited) = Shim::adopt(living);
        let folder = self.setup.jobs.job(&key.job);
        let scratch = trash::scratch(&folder, &key.job, key.index, shim.attempt);
        let registration = Some(Arc::new(self.setup.space.register(scratch)));
        self.watched(key, Shim { registration, ..shim }, awaited)
    }

    /// The folder of the repository's job, for errors.
    pub(super) fn folder(&self, key: &RepoKey) -> PathBuf {
        self.setup.jobs.job(&key.job).path().to_owned()
    }

    /// Orders a shim to end its scan. Uses the disk.
    ///
    /// # Errors
    /// If the order cannot be written or sent.
    pub(in crate::supervisor) fn order(
        &self,
        key: &RepoKey,
        shim: &Shim,
        reason: OrderReason,
    ) -> Result<(), StoreError> {
        // A shim of an earlier version does not know this reason and would treat it as a cancel.
        let reason = match reason {
            OrderReason::Yield if shim.started.is_none() => OrderReason::Stop,
            reason => reason,
        };
        shim.end(&self.setup.jobs.job(&key.job), key.index, reason)
    }

    fn watched(&self, key: &RepoKey, shim: Shim, awaited: Awaited) -> (Attempt, Ending) {
        let config = self.setup.config.get();
        let limits = (config.scanner.subprocess_timeout_secs, config.scanner.kill_grace_secs);
        let stopped_shims = Arc::clone(&self.stopped_shims);
        let watchdog = Watchdog::new(key.clone(), shim.clone(), limits, stopped_shims);
        let attempt =
            Attempt { number: shim.attempt, started: shim.started, runner: Runner::Shim(shim) };
        (attempt, Box::pin(watchdog.wait(awaited)))
    }
}
