//! The thread pools on which the supervisor's effects use disk and processes.
//!
//! Input: a blocking closure. Output: a future of its result.
//!
//! Invariants: each purpose has its own threads ([`crate::pool`]), so that slow work of one purpose
//! (removing a large folder, waiting for processes to exit) never occupies the threads of another.

use crate::pool::{self, Lost};
use std::future::Future;
use tokio::runtime::Handle;

/// Concurrent short writes of jobs' own files.
const FILES: usize = 16;
/// Concurrent starts and ends of attempts: each slot may need one of each at once, but they are short.
const SCANS: usize = 128;
/// Concurrent removals of folders, each with up to hundreds of thousands of files.
const REMOVALS: usize = 2;
/// Concurrent reads of whole jobs that are archived, each with up to tens of thousands of files.
const ARCHIVES: usize = 1;
/// Concurrent reads of whole jobs.
const REOPENS: usize = 2;
/// Concurrent periodic checks.
const CHECKS: usize = 2;

/// The purposes of the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Job folders, `master.json`, plans, final states of repositories that were not started.
    Files,
    /// Starts of shims, orders to them, and the clean-up after an attempt.
    Scans,
    Removals,
    /// Archiving of finished jobs, with the removal of their files.
    Archives,
    /// Reads of whole finished jobs.
    Reopens,
    /// Periodic checks.
    Checks,
}

/// One pool per purpose.
#[derive(Debug)]
pub(super) struct Pools {
    files: Pool,
    scans: Pool,
    removals: Pool,
    archives: Pool,
    reopens: Pool,
    checks: Pool,
}

impl Pools {
    /// Pools for any number of concurrent scanners: the limit may be raised later, and threads are
    /// started when they are needed.
    pub(super) fn new() -> Self {
        Self {
            files: Pool::new("jobs-files", FILES),
            scans: Pool::new("jobs-scans", SCANS),
            removals: Pool::new("jobs-removals", REMOVALS),
            archives: Pool::new("jobs-archives", ARCHIVES),
            reopens: Pool::new("jobs-reopens", REOPENS),
            checks: Pool::new("jobs-checks", CHECKS),
        }
    }

    pub(super) fn of(&self, purpose: Purpose) -> &Pool {
        match purpose {
            Purpose::Files => &self.files,
            Purpose::Scans => &self.scans,
            Purpose::Removals => &self.removals,
            Purpose::Archives => &self.archives,
            Purpose::Reopens => &self.reopens,
            Purpose::Checks => &self.checks,
        }
    }
}

/// The threads of one purpose; further work waits in order.
#[derive(Debug, Clone)]
pub(super) struct Pool(pool::Pool);

impl Pool {
    fn new(name: &'static str, threads: usize) -> Self {
        Self(pool::Pool::ready(name, threads))
    }

    /// Runs `work` as soon as a thread is free. `work` may start processes: the runtime reaps them.
    ///
    /// # Errors
    /// When `work` panics.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, Lost>> + Send + 'static {
        let (pool, runtime) = (self.0.clone(), Handle::current());
        async move {
            let work = move || {
                let _runtime = runtime.enter();
                work()
            };
            pool.run(work).await
        }
    }
}
