//! Attempts on this machine for a program without the supervisor's loop: an agent.
//!
//! Input: tasks and orders. Output: running shims, and how they ended.
//!
//! Invariants: as for the loop: the shim writes the files of its attempt, and when an attempt has ended here, no process
//! of it is left.

use super::{
    RepoKey, Setup, StoppedShims,
    disposition::LiveShim,
    engine::{
        Attempt, Ending,
        local::{Local, orphans},
    },
    shim_exit::{Cause, ProcessTree, ShimExit},
};
use crate::{
    model::{
        attempt::{AttemptRecord, OrderReason},
        task::ShimTask,
    },
    store::{StoreError, attempt, lock},
};
use std::{io, pin::Pin, sync::Arc};

/// Runs attempts on this machine.
#[derive(Debug, Clone)]
pub struct LocalAttempts {
    setup: Setup,
    local: Local,
}

/// An attempt that runs on this machine.
#[derive(Debug, Clone)]
pub struct LocalAttempt {
    key: RepoKey,
    attempt: Attempt,
}

/// The end of an attempt, once it has ended.
pub type LocalEnding = Pin<Box<dyn Future<Output = ShimEnd> + Send>>;

/// How an attempt ended: the exit code of its shim, if it is known, and why the shim was killed, if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalEnd {
    pub exit_code: Option<i32>,
    pub killed: Option<KilledShim>,
}

/// Why a shim that did not react was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KilledShim {
    /// It exceeded its deadline of this many seconds.
    Timeout(u64),
    /// It did not obey this order.
    Order(OrderReason),
}

impl LocalAttempts {
    /// Runs attempts in the jobs folder of the setup.
    pub fn new(setup: Setup) -> Self {
        let local = Local::new(setup.clone(), Arc::new(StoppedShims::default()));
        Self { setup, local }
    }

    /// Starts an attempt; `None` if the disk has no room for it. Blocks.
    ///
    /// # Errors
    /// If this machine refuses another process, or the disk refuses.
    pub fn start(
        &self,
        key: &RepoKey,
        task: &ShimTask,
    ) -> io::Result<Option<(LocalAttempt, LocalEnding)>> {
        Ok(self.local.start(key, task)?.map(|started| LocalAttempt::of(key, started)))
    }

    /// The attempt of this repository whose shim lives, if there is one. Blocks.
    ///
    /// # Errors
    /// If the kernel does not answer, or a process that is not a shim holds the lock.
    pub fn adopt(&self, key: &RepoKey) -> Result<Option<(LocalAttempt, LocalEnding)>, StoreError> {
        let folder = self.setup.jobs.job(&key.job);
        let Some(holder) = lock::holder(&folder.lock(key.index))? else { return Ok(None) };
        let Some(number) = orphans::attempt_of_shim(&holder, key, None) else {
            let text = format!("process {}, which is not a shim, holds it", holder.pid);
            let error = io::Error::other(text);
            return Err(StoreError::at("use the lock", folder.lock(key.index))(error));
        };
        let record = attempt::read(&folder, key.index)?.filter(|record| record.attempt == number);
        let order = attempt::read_order(&folder, key.index);
        let ordered = order.filter(|order| order.attempt == number).map(|order| order.reason);
        let living = LiveShim { holder, attempt: number, record, ordered };
        Ok(Some(LocalAttempt::of(key, self.local.adopt(key, living))))
    }

    /// The record of the attempt that began last, if any. Blocks.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn record(&self, key: &RepoKey) -> Result<Option<AttemptRecord>, StoreError> {
        attempt::read(&self.setup.jobs.job(&key.job), key.index)
    }

    /// Ends what a dead shim left. Blocks.
    pub fn sweep(&self, key: &RepoKey, record: &AttemptRecord) {
        orphans::end(&self.setup.jobs.job(&key.job), key, record);
    }
}

impl LocalAttempt {
    fn of(key: &RepoKey, (attempt, ending): (Attempt, Ending)) -> (Self, LocalEnding) {
        let ending = Box::pin(async move { ShimEnd(ending.await) });
        (Self { key: key.clone(), attempt }, ending)
    }

    /// The number of the attempt.
    pub fn number(&self) -> u64 {
        self.attempt.number
    }

    /// Orders the attempt to end. Blocks.
    ///
    /// # Errors
    /// If the order cannot be written or sent.
    pub fn order(&self, attempts: &LocalAttempts, reason: OrderReason) -> Result<(), StoreError> {
        match self.attempt.shim() {
            Some(shim) => attempts.local.order(&self.key, shim, reason),
            None => Ok(()),
        }
    }

    /// Ends the processes that are left of the attempt, and returns how it ended. Blocks.
    pub fn settle(&self, attempts: &LocalAttempts, end: &ShimEnd) -> LocalEnd {
        let ShimEnd(exit) = end;
        if exit.tree == ProcessTree::Unknown
            && let Ok(Some(record)) = attempts.record(&self.key)
            && record.attempt == self.attempt.number
        {
            attempts.sweep(&self.key, &record);
        }
        let killed = exit.killed.and_then(|killed| match killed.cause {
            Cause::Timeout(secs) => Some(KilledShim::Timeout(secs)),
            Cause::Order(reason) => Some(KilledShim::Order(reason)),
            Cause::Withdrawn(_) | Cause::Slurm(_) => None,
        });
        LocalEnd { exit_code: exit.code(), killed }
    }
}

/// How a shim exited.
#[derive(Debug)]
pub struct ShimEnd(ShimExit);
