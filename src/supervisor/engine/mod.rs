//! The engines run attempts for the loop: an engine starts, adopts and orders them, and reports how
//! each of them ended.
//!
//! Input: a task, an order, an attempt that lives at start. Output: an [`Attempt`], and its
//! [`Ending`], a future of how it ended.
//!
//! Invariants: the loop knows no processes and no network, only attempts; whatever happened to an
//! attempt, its ending arrives; everything after the status file is the same for every engine. After a change of the
//! engine, an attempt of this machine or of a cluster is supervised to its end, and one of an agent is withdrawn.

pub(super) mod local;
#[cfg(feature = "nats")]
mod nats;
mod slurm;

use super::{
    RepoKey, Setup,
    agents::{Capacity, EngineState, EnrollError, Enrollment},
    disposition::Living,
    pools::Pool,
    scheduler::Label,
    shim_exit::ShimExit,
    throttling::Host,
};
use crate::{
    config::EngineKind,
    model::{
        attempt::{AttemptRecord, OrderReason},
        task::ShimTask,
    },
    store::StoreError,
};
use local::{Local, Shim};
use std::{io, pin::Pin, time::Instant};
use tokio::sync::watch;

/// How an attempt ends: ready once it has.
pub(super) type Ending = Pin<Box<dyn Future<Output = ShimExit> + Send>>;

/// The outcome of a start: nothing if the disk has no room for a scan.
pub(super) type Started = io::Result<Option<(Attempt, Ending)>>;

/// An attempt that runs.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) number: u64,
    /// When this server started it; `None` if another server did.
    pub(super) started: Option<Instant>,
    runner: Runner,
}

/// What runs an attempt.
#[derive(Debug, Clone)]
enum Runner {
    /// A process of this machine.
    Shim(Shim),
    /// An agent on another machine, or none yet.
    #[cfg(feature = "nats")]
    Remote(nats::Remote),
    /// An element of an array in a Slurm cluster.
    Element(slurm::Element),
    /// Nothing: the attempt was given to an agent, and the engine has changed since.
    Withdrawn,
}

impl Attempt {
    /// Whether the attempt goes on while no server runs, and needs no order when this one stops.
    pub(super) fn outlasts_a_stop(&self) -> bool {
        match &self.runner {
            Runner::Shim(_) | Runner::Withdrawn => false,
            Runner::Element(_) => true,
            #[cfg(feature = "nats")]
            Runner::Remote(_) => true,
        }
    }
}

/// What runs scans on other machines, as far as the settings name it: agents, or a Slurm cluster.
#[derive(Debug, Clone)]
pub struct Agents {
    kind: EngineKind,
    #[cfg(feature = "nats")]
    nats: Option<nats::Nats>,
    slurm: Option<slurm::Slurm>,
}

impl Agents {
    /// Begins to connect to what the settings name.
    ///
    /// # Errors
    /// Why the engine of the settings cannot be used. A NATS or a Slurm that cannot be reached is no error.
    pub async fn open(setup: &Setup) -> Result<Self, String> {
        let config = setup.config.get();
        let engine = &config.engine;
        #[cfg(not(feature = "nats"))]
        if engine.kind == EngineKind::Nats || !engine.nats.is_empty() {
            return Err("[engine]: this scanwatch was built without NATS; build it with `--features nats`, or use a package"
                .to_owned());
        }
        Ok(Self {
            kind: engine.kind,
            #[cfg(feature = "nats")]
            nats: if engine.nats.is_empty() {
                None
            } else {
                Some(Box::pin(nats::Nats::open(setup)).await?)
            },
            slurm: slurm::Slurm::open(setup).await?,
        })
    }

    /// No other machines: all scans are processes of this one.
    pub fn none() -> Self {
        Self {
            kind: EngineKind::Local,
            #[cfg(feature = "nats")]
            nats: None,
            slurm: None,
        }
    }

    /// The state of the engine.
    pub fn state(&self) -> EngineState {
        if let Some(slurm) = self.slurm.as_ref().filter(|_| self.kind == EngineKind::Slurm) {
            return slurm.state();
        }
        #[cfg(feature = "nats")]
        if let Some(nats) = &self.nats {
            return EngineState { kind: self.kind, ..nats.state() };
        }
        EngineState::local()
    }

    /// Enrolls an agent; again with the same key, that changes at most its labels.
    ///
    /// # Errors
    /// Why it is not enrolled.
    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "only agents"))]
    pub async fn enroll(
        &self,
        name: &str,
        public_key: &str,
        labels: Vec<String>,
    ) -> Result<Enrollment, EnrollError> {
        #[cfg(feature = "nats")]
        if let Some(nats) = &self.nats {
            return nats.enroll(name, public_key, labels).await;
        }
        let _ = (name, public_key, labels);
        Err(EnrollError::NoAgents)
    }

    /// Removes an agent: it gets no more credentials, and its reports are refused.
    ///
    /// # Errors
    /// Why it is not removed.
    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "only agents"))]
    pub async fn remove(&self, name: &str) -> Result<(), EnrollError> {
        #[cfg(feature = "nats")]
        if let Some(nats) = &self.nats {
            return nats.remove_agent(name).await;
        }
        let _ = name;
        Err(EnrollError::Unknown)
    }

    /// Fetches what is missing of the log of a repository that an agent scans.
    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "only agents"))]
    pub async fn refresh_log(&self, key: &RepoKey) {
        #[cfg(feature = "nats")]
        if let Some(nats) = &self.nats {
            nats.refresh_log(key).await;
        }
        let _ = key;
    }

    /// Keeps fetching the log of a repository for as long as the future is awaited.
    pub async fn follow_log(&self, key: &RepoKey) {
        #[cfg(feature = "nats")]
        if let Some(nats) = &self.nats {
            nats.follow_log(key).await;
        }
        let _ = key;
        std::future::pending::<()>().await;
    }

    /// Serves the connections to other machines for as long as the future is awaited.
    pub(super) async fn serve(self) {
        let slurm = async {
            match self.slurm {
                Some(slurm) => slurm.serve().await,
                None => std::future::pending().await,
            }
        };
        #[cfg(feature = "nats")]
        let nats = async {
            match self.nats {
                Some(nats) => Box::pin(nats.serve()).await,
                None => std::future::pending().await,
            }
        };
        #[cfg(not(feature = "nats"))]
        let nats = std::future::pending::<()>();
        tokio::join!(Box::pin(slurm), nats);
    }
}

#[cfg(feature = "nats")]
impl Attempt {
    /// The shim of an attempt on this machine.
    pub(super) fn shim(&self) -> Option<&Shim> {
        if let Runner::Shim(shim) = &self.runner { Some(shim) } else { None }
    }
}

/// The engine that the settings name.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    local: Local,
    agents: Agents,
}

impl Engine {
    pub(super) fn new(local: Local, agents: Agents) -> Self {
        Self { local, agents }
    }

    /// The agents, if they run the scans.
    #[cfg(feature = "nats")]
    fn nats(&self) -> Option<&nats::Nats> {
        self.agents.nats.as_ref().filter(|_| self.agents.kind == EngineKind::Nats)
    }

    /// The cluster, if it runs the scans.
    fn slurm(&self) -> Option<&slurm::Slurm> {
        self.agents.slurm.as_ref().filter(|_| self.agents.kind == EngineKind::Slurm)
    }

    /// Whether other machines run the scans.
    pub(super) fn is_remote(&self) -> bool {
        self.agents.kind != EngineKind::Local
    }

    /// How many scans other machines can run, and its changes; `None` if the scans are processes of this machine.
    pub(super) fn capacity(&self) -> Option<watch::Receiver<Capacity>> {
        #[cfg(feature = "nats")]
        if let Some(nats) = self.nats() {
            return Some(nats.capacity());
        }
        self.slurm().map(slurm::Slurm::capacity)
    }

    /// The label of the machines that scan the repositories of a host, if others than this one do.
    pub(super) fn label_of(&self, host: Option<&Host>) -> Option<Label> {
        #[cfg(feature = "nats")]
        if let Some(nats) = self.nats() {
            return Some(nats.label_of(host.map_or("", |host| host)));
        }
        let _ = host;
        self.slurm().map(|_| slurm::Slurm::label())
    }

    /// Starts an attempt.
    pub(super) fn start(
        &self,
        key: &RepoKey,
        task: ShimTask,
        pool: &Pool,
    ) -> Pin<Box<dyn Future<Output = Started> + Send + 'static>> {
        #[cfg(feature = "nats")]
        if let Some(nats) = self.nats() {
            let (nats, key, name) = (nats.clone(), key.clone(), task.scan.repo_name.clone());
            return Box::pin(async move { nats.start((key, name, task)).await });
        }
        if let Some(slurm) = self.slurm() {
            let (slurm, key) = (slurm.clone(), key.clone());
            return Box::pin(async move { slurm.start(key, task).await });
        }
        let (local, key) = (self.local.clone(), key.clone());
        let work = pool.run(move || local.start(&key, &task));
        Box::pin(async move { work.await.unwrap_or_else(|panic| Err(panic.into())) })
    }

    /// Continues to supervise an attempt that another server started, of the repository with this name and URL.
    pub(super) fn adopt(
        &self,
        key: &RepoKey,
        (name, git_url): (String, String),
        living: Living,
    ) -> (Attempt, Ending) {
        let record = match living {
            Living::Shim(shim) => return self.local.adopt(key, shim),
            Living::Remote(record) => record,
        };
        if let Some(element) = record.element().cloned() {
            return match &self.agents.slurm {
                Some(slurm) => slurm.adopt(key, element, record),
                // Nothing of it is left in the shared folder.
                None => withdrawn(record),
            };
        }
        #[cfg(feature = "nats")]
        if let Some(nats) = self.nats() {
            return nats.adopt((key, name, git_url), record);
        }
        let _ = (name, git_url);
        withdrawn(record)
    }

    /// Orders an attempt to end.
    pub(super) fn order(
        &self,
        key: &RepoKey,
        attempt: Attempt,
        reason: OrderReason,
        pool: &Pool,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let (local, key) = (self.local.clone(), key.clone());
        let path = local.folder(&key);
        let work = pool.run(move || match attempt.runner {
            Runner::Shim(shim) => local.order(&key, &shim, reason),
            #[cfg(feature = "nats")]
            Runner::Remote(remote) => {
                remote.order(reason);
                Ok(())
            }
            Runner::Element(element) => {
                element.order(reason);
                Ok(())
            }
            Runner::Withdrawn => Ok(()),
        });
        async move {
            work.await
                .unwrap_or_else(|panic| Err(StoreError::at("give an order in", path)(panic.into())))
        }
    }
}

/// An attempt that was given to another machine, and that this server does not continue: it ends at once.
fn withdrawn(record: AttemptRecord) -> (Attempt, Ending) {
    let attempt = Attempt { number: record.attempt, started: None, runner: Runner::Withdrawn };
    (attempt, Box::pin(std::future::ready(ShimExit::withdrawn(record, None))))
}
