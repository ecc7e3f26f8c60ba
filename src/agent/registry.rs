//! The attempts that this agent holds.
//!
//! Input: attempts that begin and end. Output: who holds which repository, and what heartbeats list.
//!
//! Invariants: one attempt per repository; an attempt stays here until none of its processes is left.

use crate::{
    model::{credentials::Credentials, redact::Redactor},
    wire::{heartbeat::Running, names::RepositoryKey, order::Reason},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// An attempt that this agent holds.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: RepositoryKey,
    pub(super) attempt: u64,
    /// The last order for it.
    order: watch::Sender<Option<Reason>>,
    /// Where its message is acknowledged; a later delivery of the message replaces it.
    reply: Mutex<String>,
    /// Whether this agent still claims it.
    is_listed: AtomicBool,
    /// Masks the credentials in what the scanner writes into its status; the shim masks them in the log.
    redactor: OnceLock<Redactor>,
    /// Its lease has ended, or a later attempt has begun.
    pub(super) lost: CancellationToken,
    /// It is no longer here.
    pub(super) gone: CancellationToken,
}

/// The attempts that this agent holds.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<BTreeMap<RepositoryKey, Arc<Entry>>>,
}

/// A place in the registry; dropped, the attempt is no longer there.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    pub(super) entry: Arc<Entry>,
}

impl Entry {
    /// Where the message is acknowledged.
    pub(super) fn reply(&self) -> String {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The message was delivered again, while its attempt runs here.
    pub(super) fn replace_reply(&self, reply: String) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// Gives an order; a later one that is not for the same attempt does not arrive here.
    pub(super) fn give(&self, reason: Reason) {
        self.order.send_if_modified(|order| {
            let is_new = *order != Some(reason);
            *order = Some(reason);
            is_new
        });
    }

    /// The orders, as they are given.
    pub(super) fn orders(&self) -> watch::Receiver<Option<Reason>> {
        self.order.subscribe()
    }

    /// The last order.
    pub(super) fn order(&self) -> Option<Reason> {
        *self.order.borrow()
    }

    /// From now on these credentials are masked in statuses.
    pub(super) fn mask(&self, credentials: Option<&Credentials>) {
        // Set once: an attempt gets its credentials once.
        let _ = self.redactor.set(Redactor::of_logins(credentials));
    }

    /// A status as it may leave this machine.
    pub(super) fn masked(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.redactor.get() {
            Some(redactor) => {
                redactor.redact(&String::from_utf8_lossy(&bytes)).into_owned().into_bytes()
            }
            None => bytes,
        }
    }

    /// The attempt no longer belongs to this agent.
    pub(super) fn lose(&self) {
        self.is_listed.store(false, Ordering::Release);
        self.lost.cancel();
    }
}

impl Registry {
    /// Adds an attempt.
    ///
    /// # Errors
    /// The attempt of this repository that is here.
    pub(super) fn enter(
        self: &Arc<Self>,
        key: &RepositoryKey,
        attempt: u64,
        reply: String,
    ) -> Result<Place, Arc<Entry>> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(key) {
            return Err(Arc::clone(entry));
        }
        let entry = Arc::new(Entry {
            key: key.clone(),
            attempt,
            order: watch::Sender::new(None),
            reply: Mutex::new(reply),
            is_listed: AtomicBool::new(true),
            redactor: OnceLock::new(),
            lost: CancellationToken::new(),
            gone: CancellationToken::new(),
        });
        entries.insert(key.clone(), Arc::clone(&entry));
        Ok(Place { registry: Arc::clone(self), entry })
    }

    /// The attempt of a repository.
    pub(super) fn get(&self, key: &RepositoryKey) -> Option<Arc<Entry>> {
        self.entries().get(key).cloned()
    }

    /// All attempts.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries().values().cloned().collect()
    }

    /// What a heartbeat lists.
    pub(super) fn running(&self) -> Vec<Running> {
        let listed = |entry: &&Arc<Entry>| entry.is_listed.load(Ordering::Acquire);
        let running =
            |entry: &Arc<Entry>| Running { key: entry.key.clone(), attempt: entry.attempt };
        self.entries().values().filter(listed).map(running).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<RepositoryKey, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.entries().remove(&self.entry.key);
        self.entry.gone.cancel();
    }
}
