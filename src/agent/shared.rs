//! What all tasks of an agent share.

use super::{beats::Beats, bus::Bus, mirror::Mirror, registry::Registry};
use crate::{
    config::Config,
    store::{StoreError, chain, layout::JobsDir, tickets},
    supervisor::{LocalAttempts, RepoKey},
    wire::{attempt::AttemptMessage, names::RepositoryKey, seal::AgentKey},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// What all tasks of an agent share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) jobs: JobsDir,
    /// The `PATH` of scanners.
    pub(super) path: String,
    pub(super) key: AgentKey,
    pub(super) bus: Bus,
    pub(super) beats: Beats,
    pub(super) registry: Arc<Registry>,
    pub(super) attempts: LocalAttempts,
    pub(super) mirror: Mirror,
    /// Attempts that have not begun are to be handed to other agents.
    pub(super) draining: CancellationToken,
    /// Running attempts are to be handed to other agents.
    pub(super) hand_back: CancellationToken,
    /// Held while a folder of a job is created or removed.
    pub(super) folders: Mutex<()>,
    /// This boot of the machine: times since boot of another one mean nothing.
    pub(super) boot: String,
}

/// What the next run of the agent needs to continue an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) schema: u32,
    pub(super) message: AttemptMessage,
    pub(super) attempt: u64,
    pub(super) delivery: u64,
    /// Where the message is acknowledged.
    pub(super) reply: String,
    pub(super) boot: String,
    /// When the last sign of life that NATS confirmed was sent, in milliseconds since boot.
    pub(super) confirmed_ms: u64,
}

impl Ticket {
    /// When the last confirmed sign of life was sent; `None` in another boot of the machine.
    pub(super) fn confirmed(&self, boot: &str) -> Option<Duration> {
        (self.boot == boot).then_some(Duration::from_millis(self.confirmed_ms))
    }

    /// Takes in a confirmation.
    pub(super) fn confirm(&mut self, at: Duration) {
        self.confirmed_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    }
}

impl Shared {
    /// Creates the folder of an attempt, with its ticket.
    pub(super) async fn take(self: &Arc<Self>, ticket: Ticket) -> Result<(), StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let _held = shared.folders.lock().unwrap_or_else(PoisonError::into_inner);
            let key = &ticket.message.key;
            let mode = shared.config.jobs.folder_mode;
            tickets::take(&shared.jobs, &key.job, key.index, mode, &ticket)
        })
        .await
    }

    /// Replaces the ticket of an attempt; a failure only means that the next run does not continue it.
    pub(super) async fn note(self: &Arc<Self>, ticket: Ticket) {
        let shared = Arc::clone(self);
        let key = ticket.message.key.clone();
        let job = shared.jobs.job(&key.job);
        let written = spawn_blocking(move || tickets::write(&job, key.index, &ticket)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(error = chain(&error), "cannot replace the ticket of an attempt");
        }
    }

    /// Removes the files of an attempt.
    pub(super) async fn give_back(self: &Arc<Self>, key: &RepositoryKey) {
        let (shared, key) = (Arc::clone(self), key.clone());
        let removed = blocking(move || {
            let _held = shared.folders.lock().unwrap_or_else(PoisonError::into_inner);
            tickets::give_back(&shared.jobs, &key.job, key.index)
        });
        if let Err(error) = removed.await {
            tracing::warn!(error = chain(&error), "cannot remove the files of an attempt");
        }
    }
}

/// The repository as the supervisor names it.
pub(super) fn repo_key(key: &RepositoryKey) -> RepoKey {
    RepoKey { job: key.job.clone(), index: key.index }
}

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => Err(StoreError::at("work in", "the agent's folder")(panic.into())),
    }
}
