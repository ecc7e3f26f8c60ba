//! The heartbeats of this agent.
//!
//! Input: what the agent runs. Output: a heartbeat in NATS at each interval, and at once where an attempt is taken.
//!
//! Invariants: heartbeats are stored one after the other, so that an older one never replaces a newer one; of two agents
//! with the same name, the later one ends.

use super::{
    bus::{Bus, BusError, LastBeat},
    holders::Held,
    marks::{self, Marks},
    registry::Registry,
    streak::Streak,
};
use crate::{
    sys,
    wire::{
        heartbeat::{Heartbeat, beat_interval},
        names::RepositoryKey,
    },
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// The pause after a heartbeat that was not stored.
const RETRY: Duration = Duration::from_millis(100);

/// The heartbeats of this agent.
#[derive(Debug)]
pub(super) struct Beats {
    bus: Bus,
    registry: Arc<Registry>,
    /// What all heartbeats have in common.
    model: Heartbeat,
    is_draining: AtomicBool,
    marks: Mutex<Marks>,
    /// Held while one is stored.
    turn: tokio::sync::Mutex<Turn>,
    soon: Notify,
    /// Another agent of this name lives.
    pub(super) name_is_taken: CancellationToken,
}

/// What is known about the stored heartbeat of this name.
#[derive(Debug, Default)]
struct Turn {
    /// The revision of this agent's last one.
    last: Option<u64>,
    /// The run of an agent whose heartbeat was stored before this agent's first one.
    before: Option<String>,
}

impl Beats {
    pub(super) fn new(bus: Bus, registry: Arc<Registry>, model: Heartbeat) -> Self {
        Self {
            bus,
            registry,
            model,
            is_draining: AtomicBool::new(false),
            marks: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            soon: Notify::new(),
            name_is_taken: CancellationToken::new(),
        }
    }

    /// Heartbeats from now on report that the agent takes no more attempts.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.soon.notify_one();
    }

    /// Something has changed that other agents and the server should know.
    pub(super) fn soon(&self) {
        self.soon.notify_one();
    }

    /// Stores a heartbeat, and returns when NATS has confirmed it.
    pub(super) async fn beat(&self) -> Result<(), BusError> {
        let mut turn = self.turn.lock().await;
        let mut heartbeat = self.model.clone();
        heartbeat.running = self.registry.running();
        heartbeat.draining = self.is_draining.load(Ordering::Acquire);
        let connections = self.bus.connection.link.borrow().connections;
        let revision = match self.bus.put_heartbeat(&heartbeat, turn.last).await {
            Ok(revision) => revision,
            Err(error) => {
                // Perhaps it was stored, and the confirmation was lost; or another agent has the same name.
                turn.last = self.own_revision(&turn).await?;
                return Err(error);
            }
        };
        turn.last = Some(revision);
        // A heartbeat that was confirmed across a reconnection is no mark.
        if self.bus.connection.link.borrow().connections == connections {
            self.marks().add(revision, sys::since_boot(), marks::apart(self.bus.ack_wait()));
        }
        Ok(())
    }

    /// Notes which agent has this name, before the first heartbeat.
    pub(super) async fn look_before(&self) -> Result<(), BusError> {
        if let LastBeat::Stored(_, heartbeat) = self.bus.heartbeat(&self.bus.agent).await? {
            self.turn.lock().await.before = Some(heartbeat.instance);
        }
        Ok(())
    }

    /// The revision of the stored heartbeat, if it is of this run of the agent.
    async fn own_revision(&self, turn: &Turn) -> Result<Option<u64>, BusError> {
        let LastBeat::Stored(revision, heartbeat) = self.bus.heartbeat(&self.bus.agent).await?
        else {
            return Ok(None);
        };
        if heartbeat.instance == self.model.instance {
            return Ok(Some(revision));
        }
        // A revision below this agent's own one comes from a replica that lags, or from a bucket that was created again.
        if turn.last.is_some_and(|last| revision > last) {
            if turn.before.as_ref() == Some(&heartbeat.instance) {
                self.name_is_taken.cancel();
            } else {
                tracing::error!(agent = %self.model.agent, "another agent with this name was started, and has to end; give each agent its own [agent] name");
            }
        }
        Ok(None)
    }

    /// Stores heartbeats until the agent ends.
    pub(super) async fn run(&self) {
        let mut link = self.bus.connection.link.clone();
        let every = beat_interval(self.bus.ack_wait());
        let mut streak = Streak::new(self.bus.ack_wait());
        loop {
            if let Err(error) = self.beat().await {
                // Without a connection, that is the cause, and it is logged.
                if streak.fails(link.borrow().connected) {
                    tracing::warn!(%error, "NATS does not store the heartbeats of this agent, so the server counts it as dead; retrying. Has NATS room in its store and a leader for its streams, and has this agent its permissions?");
                } else {
                    tracing::debug!(%error, "no heartbeat");
                }
                sleep(RETRY).await;
                continue;
            }
            if streak.succeeds() {
                tracing::info!("NATS stores the heartbeats of this agent again");
            }
            let connections = link.borrow_and_update().connections;
            tokio::select! {
                () = sleep(every) => {}
                () = self.soon.notified() => {}
                _ = link.changed() => {}
            }
            let now = link.borrow().clone();
            if now.connections != connections || !now.connected {
                self.marks().clear();
            }
        }
    }

    /// What others hold of a repository, and whether they may live.
    pub(super) async fn held(
        &self,
        key: &RepositoryKey,
        attempt: u64,
        silent_after: Duration,
    ) -> Result<Vec<Held>, BusError> {
        let mut held = Vec::new();
        for stored in self.bus.statuses(key).await? {
            let header = stored.header;
            // What an earlier run of this agent held, it holds no longer: it would be in the registry.
            let is_own = stored.agent == self.bus.agent;
            if is_own && header.attempt == attempt {
                continue;
            }
            let may_live = if is_own {
                false
            } else {
                let is_silent =
                    |revision| self.marks().silence(revision, sys::since_boot()) >= silent_after;
                match self.bus.heartbeat(&stored.agent).await? {
                    LastBeat::Ended => false,
                    // It is silent if nothing came since this agent is connected.
                    LastBeat::Unknown => !is_silent(0),
                    LastBeat::Stored(revision, heartbeat) => {
                        heartbeat.holds(key, header.attempt) && !is_silent(revision)
                    }
                }
            };
            held.push(Held { attempt: header.attempt, kind: header.kind, may_live });
        }
        Ok(held)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
