//! The handle of the archive, for the rest of the program.
//!
//! Input: the settings, jobs. Output: whether a job may be removed here, facts, removals. Invariants: opening waits for the
//! storage for at most [`CHECK`]; no question waits for the storage except those for its content.

use super::{
    ArchiveCounts, Availability,
    bucket::Bucket,
    error::{Kind, StorageError},
    fetch,
    fetches::Fetches,
    shared::{Counts, Program, Shared, State},
    task::Task,
};
use crate::{
    config::{ArchiveConfig, CurrentConfig},
    live::{Live, LiveJob},
    model::JobId,
    pool::Pool,
    sbom::Document,
    store::{StoreError, archive::Archive, layout::JobsDir, uploads::Uploads},
};
use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the start waits for the storage.
const CHECK: Duration = Duration::from_secs(10);

/// The archive of the settings. Clones share it.
#[derive(Debug, Clone)]
pub struct ObjectArchive(Arc<Shared>);

impl ObjectArchive {
    /// Opens the archive of the settings, and checks that it can be used. One that cannot be reached is opened too; it has a
    /// [`problem`](Self::problem) then.
    ///
    /// # Errors
    /// If the bucket does not exist, or the access is denied.
    pub async fn open(settings: &ArchiveConfig, jobs: &JobsDir) -> Result<Self, StorageError> {
        let shared = Shared {
            bucket: Bucket::new(settings)?,
            place: settings.place.to_string(),
            max_concurrent: settings.max_concurrent,
            retention: settings.retention,
            archive: Archive::of(jobs),
            uploads: Uploads::of(jobs),
            jobs: jobs.clone(),
            program: OnceLock::new(),
            pool: Pool::new("archive", 2),
            documents_pool: Pool::new("archive-documents", 1),
            counts: Counts::default(),
            state: Mutex::new(State::default()),
            fetches: Fetches::default(),
            wake: Notify::new(),
        };
        // A failure leaves files that the next start removes.
        let uploads = shared.uploads.clone();
        let _ = shared.pool.run(move || uploads.remove_fetch_folders()).await;
        let checked = timeout(CHECK, shared.bucket.check()).await.unwrap_or_else(|_| {
            let text = format!("no answer within {} seconds", CHECK.as_secs());
            Err(StorageError::new(Kind::Unavailable, "use", &shared.place, text))
        });
        match checked {
            Err(error) if error.kind.is_lasting() => return Err(error),
            Err(error) => shared.note_failure(&error),
            Ok(()) => tracing::info!(place = %shared.place, "finished jobs are archived"),
        }
        Ok(Self(Arc::new(shared)))
    }

    /// Starts to upload. Called once. `documents` makes the bill of materials of a repository.
    pub fn start(
        &self,
        live: Arc<Live>,
        config: CurrentConfig,
        documents: impl Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync + 'static,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) {
        let documents = Arc::new(documents);
        let (tasks_of_requests, live_of_program) = (tasks.clone(), Arc::clone(&live));
        let _ = self.0.program.set(Program {
            live: live_of_program,
            config,
            documents,
            tasks: tasks_of_requests,
            shutdown: shutdown.clone(),
        });
        tasks.spawn(Task::new(Arc::clone(&self.0), live).run(shutdown));
    }

    /// Whether a finished job may be removed here: it is in the archive as it is in its folder, and the archive works.
    pub async fn may_remove(&self, id: &JobId) -> bool {
        if self.0.with_state(|state| state.problem.is_some()) {
            return false;
        }
        let (shared, id) = (Arc::clone(&self.0), id.clone());
        let asked = move || shared.uploads.has_as_it_is(&id, &shared.jobs.job(&id));
        self.0.pool.run(asked).await.unwrap_or(false)
    }

    /// Whether the record of an archived job may be removed here. Blocks.
    pub fn may_forget(&self, id: &JobId) -> bool {
        let is_broken = self.0.with_state(|state| state.problem.is_some());
        !is_broken && self.0.uploads.mark(id).is_some() && !self.0.fetches.was_fetched(id)
    }

    /// Brings a job back that is not here, for a request.
    pub async fn bring_back(&self, id: &JobId) -> Availability {
        if self.is_to_be_removed(id).await {
            return Availability::Absent;
        }
        fetch::bring_back(&self.0, id).await
    }

    /// Whether a job that is not here is in the archive.
    pub async fn find(&self, id: &JobId) -> Availability {
        if self.is_to_be_removed(id).await {
            return Availability::Absent;
        }
        fetch::find(&self.0, id).await
    }

    async fn is_to_be_removed(&self, id: &JobId) -> bool {
        let (uploads, of) = (self.0.uploads.clone(), id.clone());
        self.0.pool.run(move || uploads.is_to_be_removed(&of)).await.unwrap_or(false)
    }

    /// Has a job removed from the archive, also if that is possible only later. The note is durable when this returns.
    ///
    /// # Errors
    /// If the local disk refuses.
    pub async fn remove(&self, id: &JobId) -> Result<(), StoreError> {
        let (uploads, id) = (self.0.uploads.clone(), id.clone());
        let noted = self.0.pool.run(move || uploads.request_removal(&id)).await;
        self.0.wake.notify_one();
        noted.map_err(|lost| StoreError {
            action: "note the removal in",
            path: self.0.jobs.result_store(),
            source: lost.into(),
        })?
    }

    /// The state, for /metrics.
    pub fn counts(&self) -> ArchiveCounts {
        self.0.counts()
    }

    /// Why the service is degraded on this side; without a path.
    pub fn problem(&self) -> Option<String> {
        self.0.problem()
    }
}
