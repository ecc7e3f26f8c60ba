//! What the parts of this room share: the bucket, the state on the local disk, the counters, and the current problem.
//!
//! Input: outcomes of transfers. Output: facts for /health and /metrics. Invariants: no lock is held while anything is
//! awaited; a problem of the storage ends with the first transfer that succeeds.

use super::{
    ArchiveCounts,
    bucket::Bucket,
    error::{Kind, StorageError},
    fetches::Fetches,
    threads,
};
use crate::{
    config::CurrentConfig,
    live::{Live, LiveJob},
    model::time::{self, Timestamp},
    pool::Pool,
    sbom::Document,
    store::{archive::Archive, layout::JobsDir, uploads::Uploads},
};
use chrono::Utc;
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Produces the bill of materials of a repository.
pub(super) type MakeDocument = dyn Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync;

pub(super) struct Shared {
    pub(super) bucket: Bucket,
    /// The bucket as people name it.
    pub(super) place: String,
    pub(super) max_concurrent: usize,
    pub(super) retention: Option<std::time::Duration>,
    pub(super) jobs: JobsDir,
    /// The archived jobs here.
    pub(super) archive: Archive,
    pub(super) uploads: Uploads,
    /// The rest of the program, once it has started.
    pub(super) program: OnceLock<Program>,
    pub(super) pool: Pool,
    pub(super) documents_pool: Pool,
    pub(super) counts: Counts,
    pub(super) state: Mutex<State>,
    pub(super) fetches: Fetches,
    /// Wakes the task.
    pub(super) wake: Notify,
}

/// What uploads need of the rest of the program.
pub(super) struct Program {
    pub(super) live: Arc<Live>,
    pub(super) config: CurrentConfig,
    pub(super) documents: Arc<MakeDocument>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What is wrong, and what waits.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The problem of the storage, and since when.
    pub(super) problem: Option<(Kind, Timestamp)>,
    /// The number of jobs that wait, and since when the first of them.
    pub(super) waiting: usize,
    pub(super) oldest: Option<Timestamp>,
    /// The number of removals that wait.
    pub(super) removals: usize,
    /// Jobs whose upload failed for a reason of their own, and the last one of them.
    pub(super) failing: usize,
    pub(super) last_failure: Option<Kind>,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    objects: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    jobs: AtomicU64,
    fetched: AtomicU64,
    removed: AtomicU64,
}

impl Counts {
    pub(super) fn uploaded(&self, bytes: u64) {
        self.objects.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn finished_job(&self) {
        self.jobs.fetch_add(1, Relaxed);
    }

    pub(super) fn fetched(&self) {
        self.fetched.fetch_add(1, Relaxed);
    }

    pub(super) fn removed_job(&self) {
        self.removed.fetch_add(1, Relaxed);
    }
}

impl Shared {
    /// Runs blocking work on the pool of this room.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        threads::blocking(&self.pool, work).await
    }

    pub(super) fn documents(&self) -> Option<Arc<MakeDocument>> {
        self.program.get().map(|program| Arc::clone(&program.documents))
    }

    /// When the record of a job that ended then expires here.
    pub(super) fn expiry(&self, ended: Timestamp) -> Timestamp {
        let config = self.program.get().map(|program| program.config.get());
        let kept = config.map(|config| config.jobs.results_retention).unwrap_or_default();
        time::later(ended, kept)
    }

    pub(super) fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that the storage works.
    pub(super) fn note_success(&self) {
        let ended = self.with_state(|state| state.problem.take());
        if let Some((kind, since)) = ended {
            let seconds = (Utc::now() - since).num_seconds();
            tracing::info!(place = %self.place, problem = kind.as_str(), seconds, "the archive works again");
        }
    }

    /// Notes that the storage does not work.
    pub(super) fn note_failure(&self, error: &StorageError) {
        let is_new = self.with_state(|state| {
            let before = state.problem;
            state.problem = Some((error.kind, before.map_or_else(Utc::now, |(_, since)| since)));
            before.is_none_or(|(kind, _)| kind != error.kind)
        });
        if is_new {
            tracing::error!(place = %self.place, %error, "the archive does not work; finished jobs stay here until they are in it");
        }
    }

    pub(super) fn counts(&self) -> ArchiveCounts {
        let Counts { objects, bytes, failures, jobs, fetched, removed } = &self.counts;
        let counts = ArchiveCounts {
            objects: objects.load(Relaxed),
            bytes: bytes.load(Relaxed),
            failures: failures.load(Relaxed),
            jobs: jobs.load(Relaxed),
            fetched: fetched.load(Relaxed),
            removed: removed.load(Relaxed),
            ..ArchiveCounts::default()
        };
        self.with_state(|state| ArchiveCounts {
            waiting: state.waiting,
            oldest_secs: state
                .oldest
                .and_then(|at| (Utc::now() - at).to_std().ok())
                .unwrap_or_default()
                .as_secs_f64(),
            removals: state.removals,
            available: state.problem.is_none(),
            ..counts
        })
    }

    /// The problem in a sentence, without a path.
    pub(super) fn problem(&self) -> Option<String> {
        self.with_state(|state| {
            let State { problem, waiting, failing, last_failure, .. } = state;
            if let Some((kind, since)) = problem {
                let since = since.format("%Y-%m-%dT%H:%M:%SZ");
                return Some(format!(
                    "the archive does not work since {since} ({}); {waiting} finished jobs wait, and none is removed here",
                    kind.as_str()
                ));
            }
            let failure = last_failure.filter(|_| *failing > 0)?;
            Some(format!(
                "{failing} finished jobs cannot be archived ({}), so they are not removed here; the server retries, and the log \
                 names the cause",
                failure.as_str()
            ))
        })
    }
}
