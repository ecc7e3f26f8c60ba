//! The supervisor turns plans into processes: queue, concurrency limit, cancellation, recovery.
//!
//! Input: accepted jobs, cancel and remove requests, exits of shims, and at start the state that a
//! dead server left. Output: shims, each with its task on standard input; `master.json`; and the
//! status files of repositories that have no shim to write them.
//!
//! Invariants: at most as many shims run at once as the settings allow; every repository of an
//! accepted job reaches a final state or is queued; a repository never has two living shims; while
//! the disk is too full, the queue waits; a repository that waits for a retry or for its host holds
//! no slot. The rules are in `scheduler`, `pressure` and `throttling` (pure); `actor` performs them,
//! one event at a time.
//!
//! From the bottom up: rules and plain data (`scheduler`, `pressure`, `throttling`, `shim_exit`,
//! `disposition`, `job`, `limits`, `command`); the engines, which run attempts (`engine`); effects, which do not know the loop
//! (`outcome` and `final_states`, `recovery` and `reopen`, `job_steps`, `repositories`, `discards`); the loop, the
//! only one that knows all of them (`actor`); the handle that the rest of the program uses.

mod actor;
mod agents;
mod archiving;
mod command;
mod discards;
mod disk_checks;
mod disposition;
mod effects;
mod engine;
mod final_states;
mod handle;
mod isolation;
mod job;
mod job_steps;
mod limits;
mod load;
#[cfg(feature = "nats")]
mod local_attempts;
mod outcome;
mod pools;
mod pressure;
mod recovery;
mod reopen;
mod repositories;
mod scan_metrics;
mod scheduler;
mod shim_exit;
mod slots;
mod status_files;
mod stopped_shims;
mod tasks;
mod throttling;
mod timers;

pub use agents::{AgentPhase, AgentState, EngineState, EnrollError, Enrollment};
pub use command::{Cancelled, CreateError, RemoveError, Retried, TurnChanged, TurnRequest};
pub use engine::Agents;
pub use handle::Supervisor;
pub use isolation::{Isolation, SandboxKind};
pub use job::{NewJob, Planned, Planning, RecoveredJob};
pub use limits::{HostLimit, LimitSource, ScanLimits, SlotReason};
pub use load::QueuePermit;
#[cfg(feature = "nats")]
pub use local_attempts::{KilledShim, LocalAttempt, LocalAttempts, LocalEnd, LocalEnding, ShimEnd};
pub use recovery::{Recovered, recover, recover_one};
pub use scan_metrics::ScanMetrics;
pub use stopped_shims::StoppedShims;

use crate::{
    config::CurrentConfig,
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

/// The supervisor's settings and resources.
#[derive(Debug, Clone)]
pub struct Setup {
    pub config: CurrentConfig,
    pub jobs: JobsDir,
    /// The free space of the jobs folder's disk.
    pub space: Arc<Space>,
    /// The `PATH` of scanners.
    pub path: String,
}

impl Setup {
    /// The automatic retries of the job's repositories; none for a job that is finished or
    /// cancelled.
    fn retries(&self, master: &Master) -> Retries {
        let wanted = master.options.as_ref().filter(|_| master.final_state().is_none());
        let most = wanted.map_or(0, |options| options.retries);
        Retries::new(most, self.config.get().scanner.retry_pause)
    }
}

#[cfg(test)]
impl Setup {
    /// Default settings for a test's jobs folder.
    fn of_test(jobs: JobsDir) -> Self {
        use crate::{
            config::{Config, Sources},
            store::space::Floor,
        };
        let space = Space::new(&jobs, Floor { bytes: 0, inodes: 0 });
        let config = Config::load(&Sources::default()).unwrap();
        Self {
            config: CurrentConfig::new(config),
            jobs,
            space: Arc::new(space),
            path: String::new(),
        }
    }
}
