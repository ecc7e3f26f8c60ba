//! What the handlers work with: handles of the other parts, and the count of open streams.

use super::{
    ApiError,
    auth::{Auth, User},
    reads::Reads,
    tls::Tls,
    traffic::Traffic,
};
use crate::{
    config::Config,
    intake::Intake,
    live::{Live, LiveJob, Nudger, Plans, Results},
    model::{JobId, time::Timestamp},
    store::{layout::JobsDir, space::Space},
    supervisor::{Isolation, Supervisor},
};
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Handles of the parts that answers are made of.
#[derive(Debug)]
pub struct Parts {
    pub config: Arc<Config>,
    pub live: Arc<Live>,
    pub nudger: Nudger,
    pub results: Arc<Results>,
    pub plans: Arc<Plans>,
    /// The jobs folder, for what is read when it is asked for.
    pub jobs: JobsDir,
    pub supervisor: Supervisor,
    pub intake: Intake,
    pub isolation: Arc<Isolation>,
    pub auth: Arc<Auth>,
    /// The certificate, where there is one.
    pub tls: Option<Arc<Tls>>,
    pub traffic: Arc<Traffic>,
    pub started_at: Timestamp,
    /// How full the jobs folder's disk is.
    pub space: Arc<Space>,
    /// How many jobs could not be read at the start, and have not been since.
    pub unread: Arc<AtomicUsize>,
    /// Ends event streams.
    pub shutdown: CancellationToken,
}

/// Shared by all handlers; cloning counts one reference.
#[derive(Debug, Clone)]
pub struct Api(Arc<Shared>);

/// What handlers share.
#[derive(Debug)]
pub struct Shared {
    parts: Parts,
    streams: Arc<Streams>,
    /// The tasks of open `WebSocket`s.
    pub(super) sockets: TaskTracker,
    pub(super) reads: Reads,
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

/// The open streams, in all and by user.
#[derive(Debug, Default)]
struct Streams {
    open: Mutex<(usize, HashMap<Option<String>, usize>)>,
}

/// A stream's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    streams: Arc<Streams>,
    user: Option<String>,
}

impl Api {
    /// With no stream open yet.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared {
            parts,
            streams: Arc::default(),
            sockets: TaskTracker::new(),
            reads: Reads::new(),
        }))
    }

    /// Finds a job by the text of a path; an ill-formed id is as good as an unknown one.
    pub(super) fn job(&self, id: &str) -> Result<Arc<LiveJob>, ApiError> {
        let id: JobId = id.parse().map_err(|_| ApiError::JobNotFound)?;
        self.live.get(&id).ok_or(ApiError::JobNotFound)
    }

    /// A place for one more stream of this user.
    pub(super) fn stream_place(&self, user: &User) -> Result<StreamPlace, ApiError> {
        let limits = &self.config.server;
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
        Ok(StreamPlace { streams: Arc::clone(&self.streams), user: name })
    }

    pub(super) fn open_streams(&self) -> usize {
        self.streams.open.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for StreamPlace {
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
