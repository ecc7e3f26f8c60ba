//! A plan becomes processes: the queue, the limit, and who is told to end.
//!
//! Input: accepted jobs, wishes to cancel or remove, the ends of shims, and at start what
//! a dead server left. Output: shims, each with its task on standard input; `master.json`;
//! and the status files of repositories whose shim is not there to write them.
//!
//! Invariants: at most as many shims as the settings allow run at once; every
//! repository of an accepted job reaches a final state or is queued; a living shim is never
//! doubled; while the disk is too full, what is queued waits; what is tried again waits without a
//! slot. The rules are in `scheduler` (pure); `actor` performs them, one event at a time.

mod actor;
mod changes;
mod discards;
mod ended;
mod finals;
mod handle;
mod isolation;
mod job;
mod lanes;
mod orphans;
mod overdue;
mod plans;
mod pools;
mod recovery;
mod repositories;
mod retry;
mod revival;
mod scans;
mod scheduler;
mod spawn;

pub use handle::{Cancelled, CreateError, RemoveError, Retried, Supervisor};
pub use isolation::{Isolation, SandboxKind};
pub use job::{NewJob, Planned, Planning};
pub use overdue::Standstills;
pub use recovery::{Recovered, RecoveredJob, recover, recover_one};
pub use scans::Scans;

use crate::{
    config::Config,
    model::{JobId, master::Master, retry::Retries},
    store::{layout::JobsDir, space::Space},
};
use std::{fmt, sync::Arc};

/// One repository of one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoKey {
    pub job: JobId,
    pub index: u32,
}

impl fmt::Display for RepoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.index)
    }
}

/// What the supervisor works with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub config: Arc<Config>,
    pub jobs: JobsDir,
    /// How full the jobs folder's disk is.
    pub space: Arc<Space>,
    /// The `PATH` that scanners get.
    pub path: String,
}

impl Setup {
    /// How often the repositories of a job are tried again by themselves: of one that is over or
    /// cancelled, never.
    fn retries(&self, master: &Master) -> Retries {
        let wanted = master.options.as_ref().filter(|_| master.final_state().is_none());
        let most = wanted.map_or(0, |options| options.retries);
        Retries::new(most, self.config.scanner.retry_pause)
    }
}

#[cfg(test)]
impl Setup {
    /// With all defaults, for a jobs folder of a test.
    fn of_test(jobs: JobsDir) -> Self {
        use crate::{config::Sources, store::space::Floor};
        let space = Space::new(&jobs, Floor { bytes: 0, inodes: 0 });
        let config = Config::load(&Sources::default()).unwrap();
        Self { config: Arc::new(config), jobs, space: Arc::new(space), path: String::new() }
    }
}
