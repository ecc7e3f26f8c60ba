//! The state that handlers share: handles of the other components, and the number of open streams.
//!
//! Input: the components of the server. Output: [`Api`], which clones cheaply.
//!
//! Invariants: the number of streams is limited in total and per user, and a [`StreamSlot`] that
//! is dropped frees its slot.

use super::{
    answers::error::ApiError,
    auth::{Auth, User},
    connections::request_metrics::RequestMetrics,
    reads::pools::ReadPools,
    tls::Tls,
};
use crate::{
    archive::{Availability, ObjectArchive},
    config::CurrentConfig,
    intake::Intake,
    live::{ArchiveError, ArchivedJobs, Live, LiveJob, Nudger, PackageIndexes, Plans, Results},
    model::{JobId, time::Timestamp},
    schedules::Schedules,
    store::{layout::JobsDir, space::Space},
    supervisor::{Isolation, Supervisor},
    webhooks::Webhooks,
};
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handles of the components that handlers use.
#[derive(Debug)]
pub struct Parts {
    pub config: CurrentConfig,
    pub live: Arc<Live>,
    pub nudger: Nudger,
    pub results: Arc<Results>,
    pub packages: Arc<PackageIndexes>,
    pub plans: Arc<Plans>,
    pub archived: Arc<ArchivedJobs>,
    /// The jobs folder, for files that are read on request.
    pub jobs: JobsDir,
    pub supervisor: Supervisor,
    pub intake: Intake,
    pub schedules: Schedules,
    pub isolation: Arc<Isolation>,
    pub auth: Arc<Auth>,
    /// The certificate, if TLS is configured.
    pub tls: Option<Arc<Tls>>,
    pub request_metrics: Arc<RequestMetrics>,
    pub started_at: Timestamp,
    /// The free space of the jobs folder's disk.
    pub space: Arc<Space>,
    pub webhooks: Webhooks,
    /// The object storage that finished jobs are archived in, if there is one.
    pub archive: Option<ObjectArchive>,
    /// The number of jobs that could not be read at startup and are still unreadable.
    pub unread: Arc<AtomicUsize>,
    /// Ends event streams.
    pub shutdown: CancellationToken,
}

/// The state that all handlers share; cloning adds a reference.
#[derive(Debug, Clone)]
pub struct Api(Arc<Shared>);

/// The shared state.
#[derive(Debug)]
pub struct Shared {
    parts: Parts,
    streams: Arc<Streams>,
    /// The tasks of open `WebSocket`s.
    pub(super) sockets: TaskTracker,
    pub(super) read_pools: ReadPools,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Deref for Shared {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The number of open streams, in total and per user.
#[derive(Debug, Default)]
struct Streams {
    open: Mutex<(usize, HashMap<Option<String>, usize>)>,
}

/// The slot of an open stream, which is freed on drop.
#[derive(Debug)]
pub(super) struct StreamSlot {
    streams: Arc<Streams>,
    user: Option<String>,
}

impl Api {
    /// The state at startup, without open streams.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            streams: Arc::default(),
            sockets: TaskTracker::new(),
            read_pools: ReadPools::new(),
        }))
    }

    /// Finds a job by the id of a path; an ill-formed id is treated as an unknown one.
    pub(super) fn job(&self, id: &str) -> Result<Arc<LiveJob>, ApiError> {
        let id: JobId = id.parse().map_err(|_| ApiError::JobNotFound)?;
        self.live.get(&id).ok_or(ApiError::JobNotFound)
    }

    /// As [`job`](Self::job). If the job is archived, the error names where its results are.
    pub(super) async fn live_job(&self, id: &str) -> Result<Arc<LiveJob>, ApiError> {
        let id: JobId = id.parse().map_err(|_| ApiError::JobNotFound)?;
        if let Some(job) = self.live.get(&id) {
            return Ok(job);
        }
        let archived = Arc::clone(&self.archived);
        let is_archived = self
            .read_pools
            .files
            .run({
                let id = id.clone();
                move || archived.has(&id)
            })
            .await?;
        if is_archived || self.is_in_storage(&id, ObjectArchive::find).await? {
            return Err(ApiError::JobArchived);
        }
        Err(ApiError::JobNotFound)
    }

    /// As [`job`](Self::job), also if the job is archived, here or in object storage.
    pub(super) async fn job_or_archived(&self, id: &str) -> Result<Arc<LiveJob>, ApiError> {
        let id: JobId = id.parse().map_err(|_| ApiError::JobNotFound)?;
        if let Some(job) = self.live.get(&id) {
            return Ok(job);
        }
        if let Some(job) = self.archived_job(&id).await? {
            return Ok(job);
        }
        if self.is_in_storage(&id, ObjectArchive::bring_back).await?
            && let Some(job) = self.archived_job(&id).await?
        {
            return Ok(job);
        }
        Err(ApiError::JobNotFound)
    }

    /// A job that is archived here.
    async fn archived_job(&self, id: &JobId) -> Result<Option<Arc<LiveJob>>, ApiError> {
        let (archived, id) = (Arc::clone(&self.archived), id.clone());
        let found = self.read_pools.files.run(move || archived.get(&id)).await?;
        found.map_err(|error| match error {
            ArchiveError::Busy => ApiError::Unavailable {
                detail: "Too many archived jobs are being read".into(),
                retry_after: Some(5),
            },
            ArchiveError::Unreadable(error) => ApiError::internal("read an archived job", &error),
        })
    }

    /// Whether object storage has a job that is not here, as far as that can be known.
    async fn is_in_storage(
        &self,
        id: &JobId,
        ask: impl AsyncFnOnce(&ObjectArchive, &JobId) -> Availability,
    ) -> Result<bool, ApiError> {
        let Some(archive) = &self.archive else { return Ok(false) };
        let unavailable = |detail: &'static str, retry_after| {
            Err(ApiError::Unavailable { detail: detail.into(), retry_after: Some(retry_after) })
        };
        match ask(archive, id).await {
            Availability::Here | Availability::There => Ok(true),
            Availability::Absent => Ok(false),
            Availability::Busy => {
                unavailable("Archived jobs are being brought back from object storage", 5)
            }
            Availability::Unavailable => unavailable(
                "The job is not here, and object storage cannot be read; the log names the cause",
                30,
            ),
        }
    }

    /// Reserves a slot for another stream of this user.
    pub(super) fn stream_slot(&self, user: &User) -> Result<StreamSlot, ApiError> {
        let config = self.config.get();
        let limits = &config.server;
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_user) = &mut *open;
        let name = user.name().map(str::to_owned);
        let own = by_user.entry(name.clone()).or_default();
        if *total >= limits.max_streams || *own >= limits.max_streams_per_user {
            return Err(ApiError::Unavailable {
                detail: "Too many event streams are open".into(),
                retry_after: Some(5),
            });
        }
        *total += 1;
        *own += 1;
        drop(open);
        Ok(StreamSlot { streams: Arc::clone(&self.streams), user: name })
    }

    pub(super) fn open_streams(&self) -> usize {
        self.streams.open.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_user) = &mut *open;
        *total -= 1;
        if let Some(own) = by_user.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}
