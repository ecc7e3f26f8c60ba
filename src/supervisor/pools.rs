//! The threads on which the supervisor's effects touch disk and processes.
//!
//! Input: a closure that blocks. Output: a future of what it returns.
//!
//! Invariants: each purpose has its own threads ([`crate::pool`]), so that slow work of one purpose (the
//! removal of a large folder, processes that take their time to die) never takes those of another.

use crate::pool::{self, Lost};
use std::future::Future;
use tokio::runtime::Handle;

/// Short writes of a job's own files at once.
const FILES: usize = 16;
/// Folders that are removed at once: each may hold hundreds of thousands of files.
const REMOVALS: usize = 2;
/// Jobs that are read as a whole at once.
const REOPENS: usize = 2;
/// Periodic checks at once.
const CHECKS: usize = 2;

/// What threads are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Job folders, `master.json`, plans, final states of repositories that were not started.
    Files,
    /// Starts of shims, orders to them, and the end of what is left of an attempt.
    Scans,
    Removals,
    /// Finished jobs that are read as a whole.
    Reopens,
    /// Periodic checks.
    Checks,
}

/// The pools by purpose.
#[derive(Debug)]
pub(super) struct Pools {
    files: Pool,
    scans: Pool,
    removals: Pool,
    reopens: Pool,
    checks: Pool,
}

impl Pools {
    /// For so many scanners at once.
    pub(super) fn new(scanners: usize) -> Self {
        Self {
            files: Pool::new("jobs-files", FILES),
            // One for the attempt that ends and one for the next, per slot.
            scans: Pool::new("jobs-scans", (2 * scanners).clamp(4, 128)),
            removals: Pool::new("jobs-removals", REMOVALS),
            reopens: Pool::new("jobs-reopens", REOPENS),
            checks: Pool::new("jobs-checks", CHECKS),
        }
    }

    pub(super) fn of(&self, purpose: Purpose) -> &Pool {
        match purpose {
            Purpose::Files => &self.files,
            Purpose::Scans => &self.scans,
            Purpose::Removals => &self.removals,
            Purpose::Reopens => &self.reopens,
            Purpose::Checks => &self.checks,
        }
    }
}

/// Threads for one purpose; work beyond them waits in order.
#[derive(Debug, Clone)]
pub(super) struct Pool(pool::Pool);

impl Pool {
    fn new(name: &'static str, threads: usize) -> Self {
        Self(pool::Pool::ready(name, threads))
    }

    /// Runs `work` as soon as there is a thread. It may start processes: the runtime hears of their ends.
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
