//! A plan becomes processes: the queue, the limit, and who is told to end.
//!
//! What flows in: accepted jobs, wishes to cancel or remove, the ends of shims, and at start what
//! a dead server left. What flows out: shims, each with its task on standard input; `master.json`;
//! and the status files of repositories whose shim is not there to write them.
//!
//! What must stay true: at most as many shims as the settings allow run at once; every
//! repository of an accepted job reaches a final state or is queued; a living shim is never
//! doubled; while the disk is too full, what is queued waits. The rules are in `scheduler` (pure); `actor` performs them, one event at a time.

mod actor;
mod handle;
mod isolation;
mod job;
mod orphans;
mod plans;
mod recovery;
mod repositories;
mod revival;
mod scans;
mod scheduler;
mod spawn;

pub use handle::{Cancelled, RemoveError, Retried, Supervisor};
pub use isolation::{Isolation, SandboxKind};
pub use job::{NewJob, Planned, Planning};
pub use recovery::{Recovered, RecoveredJob, recover, recover_one};
pub use scans::Scans;

use crate::{
    config::Config,
    model::JobId,
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
