//! Keeps an attempt alive in NATS, and ends it when its lease has ended.
//!
//! Input: the delivery of an attempt. Output: signs of life in NATS, and the loss of the attempt.
//!
//! Invariants: the lease is checked often, whatever NATS answers; after a reconnection it is checked that no later attempt
//! has begun.

use super::{
    lease::{Lease, Lost},
    registry::Entry,
    shared::{Shared, Ticket},
};
use crate::{sys, wire::heartbeat::interval};
use async_nats::jetstream::AckKind;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// How often a lease is checked.
const TICK: Duration = Duration::from_millis(100);

/// The maximum pause before a sign of life that failed is sent again.
const PAUSE: Duration = Duration::from_millis(500);

/// The tasks that keep an attempt alive; dropped, they end.
#[derive(Debug)]
pub(super) struct Keeper {
    tasks: JoinSet<()>,
    lease: Arc<Mutex<Lease>>,
    ticket: Arc<Mutex<Option<Ticket>>>,
}

impl Keeper {
    /// Begins to keep an attempt alive.
    pub(super) fn start(
        shared: &Arc<Shared>,
        entry: &Arc<Entry>,
        lease: Lease,
        ack_wait: Duration,
    ) -> Self {
        let lease = Arc::new(Mutex::new(lease));
        let ticket = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(check(Arc::clone(shared), Arc::clone(entry), Arc::clone(&lease)));
        let kept = Kept {
            shared: Arc::clone(shared),
            entry: Arc::clone(entry),
            lease: Arc::clone(&lease),
            ticket: Arc::clone(&ticket),
            every: interval(ack_wait),
        };
        tasks.spawn(kept.run());
        Self { tasks, lease, ticket }
    }

    /// From now on each confirmation is noted in the ticket, for the next run of the agent.
    pub(super) fn keep_ticket(&self, ticket: Ticket) {
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
    }

    /// When the last confirmed sign of life was sent.
    pub(super) fn confirmed(&self) -> Duration {
        locked(&self.lease).confirmed()
    }

    /// Checks the lease now.
    pub(super) fn is_held(&self, shared: &Shared) -> bool {
        let is_connected = shared.bus.connection.link.borrow().connected;
        locked(&self.lease).check(sys::since_boot(), is_connected).is_ok()
    }

    /// Ends the tasks.
    pub(super) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

fn locked(lease: &Mutex<Lease>) -> MutexGuard<'_, Lease> {
    lease.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn check(shared: Arc<Shared>, entry: Arc<Entry>, lease: Arc<Mutex<Lease>>) {
    loop {
        sleep(TICK).await;
        let is_connected = shared.bus.connection.link.borrow().connected;
        let checked = locked(&lease).check(sys::since_boot(), is_connected);
        let Err(lost) = checked else { continue };
        let (repository, attempt) = (&entry.key, entry.attempt);
        match lost {
            Lost::Stopped(time) => {
                tracing::warn!(%repository, attempt, secs = time.as_secs(), "this agent was stopped for longer than its lease of an attempt; the attempt is lost and its processes are ended");
            }
            Lost::Unconfirmed(time) => {
                tracing::warn!(%repository, attempt, secs = time.as_secs(), "NATS has not confirmed the lease of an attempt for too long; the attempt is lost and its processes are ended");
            }
        }
        entry.lose();
        shared.beats.soon();
        return;
    }
}

struct Kept {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    lease: Arc<Mutex<Lease>>,
    ticket: Arc<Mutex<Option<Ticket>>>,
    every: Duration,
}

impl Kept {
    async fn run(self) {
        let bus = &self.shared.bus;
        let mut link = bus.connection.link.clone();
        let mut connections = link.borrow_and_update().connections;
        loop {
            let sent = sys::since_boot();
            let progress = async { bus.acknowledge(&self.entry.reply(), AckKind::Progress).await };
            let confirmed = tokio::select! {
                result = progress => result.is_ok(),
                _ = link.changed() => false,
            };
            if confirmed {
                locked(&self.lease).confirm(sent);
                self.note(sent).await;
            }
            let now = link.borrow_and_update().clone();
            if now.connected && now.connections != connections {
                connections = now.connections;
                // What was away was NATS, or only this agent.
                if self.is_outdated().await {
                    return;
                }
                continue;
            }
            let pause = if confirmed { self.every } else { PAUSE.min(self.every) };
            tokio::select! {
                () = sleep(pause) => {}
                _ = link.changed() => {}
            }
        }
    }

    async fn note(&self, sent: Duration) {
        let ticket = {
            let mut ticket = self.ticket.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(ticket) = ticket.as_mut() {
                ticket.confirm(sent);
                ticket.reply = self.entry.reply();
            }
            ticket.clone()
        };
        if let Some(ticket) = ticket {
            self.shared.note(ticket).await;
        }
    }

    /// Whether a later attempt has begun elsewhere; then this one is lost.
    async fn is_outdated(&self) -> bool {
        let later = later_attempt(&self.shared, &self.entry).await;
        if later.unwrap_or(false) {
            self.entry.lose();
            self.shared.beats.soon();
            return true;
        }
        false
    }
}

/// Whether a later attempt than this one has begun; `None` if NATS does not answer.
pub(super) async fn later_attempt(shared: &Shared, entry: &Entry) -> Option<bool> {
    let stored = shared.bus.statuses(&entry.key).await.ok()?;
    let later = stored.iter().find(|stored| stored.header.attempt > entry.attempt);
    let Some(later) = later else { return Some(false) };
    tracing::warn!(repository = %entry.key, attempt = entry.attempt, later = later.header.attempt, agent = %later.agent, "a later attempt has begun on another agent; this one is ended");
    Some(true)
}
