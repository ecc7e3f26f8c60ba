//! One webhook: its deliveries on the disk and in memory, and its health.
//!
//! Input: events to deliver, outcomes of attempts. Output: files, and what is shown of the webhook.
//!
//! Invariants: a delivery counts as recorded once its file is fsynced; the file is written before the queue in memory
//! changes; what is removed unsent is counted durably and logged. Functions that take a [`Delivery`] block.

use super::{
    backoff::{self, LONGEST, Verdict},
    delivery::{Attempt, Delivery, Event},
    queue::{Queue, Waiting},
    sending::Client,
};
use crate::{
    config::Webhook,
    model::{
        JobId,
        time::{self, Timestamp},
        webhook::{Data, DeliveryState, WebhookKind},
    },
    store::{StoreError, atomic::Durability, chain, webhooks::WebhookFolder},
};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// How often attempts ended how, since the start of the server.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delivered: AtomicU64,
    /// Attempts that failed and are repeated.
    pub(super) retried: AtomicU64,
    /// Deliveries that were given up.
    pub(super) failed: AtomicU64,
    /// Deliveries that were removed unsent.
    pub(super) lost: AtomicU64,
}

/// Deliveries that were removed unsent since the webhook exists.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Losses {
    pub(super) count: u64,
    #[serde(with = "time::option")]
    pub(super) last_at: Option<Timestamp>,
}

/// How the attempts of a webhook go.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) last_success: Option<Timestamp>,
    pub(super) last_failure: Option<Attempt>,
    /// Since when, and how often in a row, attempts have failed.
    pub(super) failing_since: Option<Instant>,
    pub(super) failures: u32,
    /// The target answered 410: nothing is sent until the settings are read again.
    pub(super) is_disabled: bool,
    /// The disk refused a document.
    pub(super) cannot_store: bool,
    pub(super) losses: Losses,
}

/// One webhook.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) webhook: Webhook,
    pub(super) client: Client,
    pub(super) counters: Arc<Counters>,
    /// Wakes the task that sends.
    pub(super) wake: Notify,
    folder: WebhookFolder,
    queue: Mutex<Queue>,
    state: Mutex<State>,
}

impl Target {
    /// Reads the deliveries of a webhook from the disk. Blocks.
    pub(super) fn open(
        webhook: Webhook,
        client: Client,
        counters: Arc<Counters>,
        folder: WebhookFolder,
    ) -> Result<Self, StoreError> {
        let mut target = Self {
            client,
            counters,
            wake: Notify::new(),
            queue: Mutex::default(),
            state: Mutex::default(),
            folder,
            webhook,
        };
        let name = &target.webhook.name;
        let losses = target.folder.losses(name)?;
        let losses = losses.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut queue = Queue::default();
        // A crash can leave a delivery in two folders: the later state counts.
        for state in [DeliveryState::Delivered, DeliveryState::Failed, DeliveryState::Pending] {
            for id in target.folder.list(name, state)? {
                if queue.state_of(&id).is_some() {
                    target.folder.remove_delivery(name, state, &id)?;
                } else if let Some(delivery) = target.read(state, &id)? {
                    match state {
                        DeliveryState::Pending => {
                            let waiting = target.waiting(&delivery);
                            queue.wait(id, waiting);
                        }
                        _ => queue.settle(&id, state, delivery.created_at),
                    }
                }
            }
        }
        let documents: HashSet<_> = target.folder.documented(name)?.into_iter().collect();
        for id in &documents {
            match queue.state_of(id) {
                Some(DeliveryState::Pending) => queue.documented(id),
                Some(DeliveryState::Failed) => {}
                _ => target.folder.remove_document(name, id)?,
            }
        }
        target.queue = Mutex::new(queue);
        target.state().losses = losses.unwrap_or_default();
        Ok(target)
    }

    /// Records events, durably, unless they are recorded already. Blocks.
    pub(super) fn record(&self, events: &[Event]) -> Result<(), StoreError> {
        let (name, now) = (&self.webhook.name, Utc::now());
        let wanted = events.iter().filter(|event| {
            self.webhook.events.contains(&event.payload.event)
                && self.queue().state_of(&event.id).is_none()
        });
        let mut new = Vec::new();
        for event in wanted {
            let delivery = event.delivery(now);
            let pending = DeliveryState::Pending;
            self.folder.write_delivery(name, pending, &event.id, &delivery, Durability::Content)?;
            new.push(delivery);
        }
        if new.is_empty() {
            return Ok(());
        }
        self.folder.flush(name, DeliveryState::Pending)?;
        {
            let mut queue = self.queue();
            for delivery in new {
                let waiting = self.waiting(&delivery);
                queue.wait(delivery.id, waiting);
            }
        }
        self.trim();
        self.wake.notify_one();
        Ok(())
    }

    /// Applies the outcome of an attempt. Blocks.
    pub(super) fn apply(&self, mut delivery: Delivery, attempt: &Attempt, asked: Option<Duration>) {
        let (id, now) = (delivery.id.clone(), Instant::now());
        let verdict = attempt.status.map_or(Verdict::Failed, backoff::verdict);
        delivery.attempts = delivery.attempts.saturating_add(1);
        delivery.last_attempt = Some(attempt.clone());
        delivery.next_attempt_at = None;
        self.note(attempt, verdict);
        match verdict {
            Verdict::Delivered => {
                self.counters.delivered.fetch_add(1, Relaxed);
                self.settle(&delivery, DeliveryState::Delivered);
            }
            Verdict::Gone => {
                self.counters.retried.fetch_add(1, Relaxed);
                tracing::warn!(
                    webhook = self.webhook.name,
                    "the target answered 410 and wants no more deliveries; they wait until the settings are \
                     read again (SIGHUP, restart): remove the webhook there, or repair its target"
                );
                self.store_pending(&delivery);
                self.queue().postpone(&id, now);
            }
            Verdict::Failed => match backoff::pause(delivery.attempts, random(), asked) {
                Some(pause) => {
                    self.counters.retried.fetch_add(1, Relaxed);
                    delivery.next_attempt_at = Some(time::later(Utc::now(), pause));
                    self.store_pending(&delivery);
                    self.queue().postpone(&id, now + pause);
                    tracing::debug!(
                        webhook = self.webhook.name,
                        id,
                        attempts = delivery.attempts,
                        seconds = pause.as_secs(),
                        error = attempt.error,
                        "a delivery failed and is tried again"
                    );
                }
                None => self.give_up(&delivery, attempt.error.as_deref().unwrap_or("it failed")),
            },
        }
        self.wake.notify_one();
    }

    /// Gives a delivery up: it can be sent again on request. Blocks.
    pub(super) fn give_up(&self, delivery: &Delivery, reason: &str) {
        self.counters.failed.fetch_add(1, Relaxed);
        tracing::warn!(
            webhook = self.webhook.name,
            id = delivery.id,
            attempts = delivery.attempts,
            error = reason,
            "a delivery was given up; to send it again: scanwatch webhook redeliver"
        );
        self.settle(delivery, DeliveryState::Failed);
    }

    /// Has a delivery sent again as soon as possible; false if there is none with this id. Blocks.
    pub(super) fn redeliver(&self, id: &str) -> Result<bool, StoreError> {
        let name = &self.webhook.name;
        let Some(state) = self.queue().state_of(id) else { return Ok(false) };
        let Some(mut delivery) = self.read(state, id)? else { return Ok(false) };
        (delivery.attempts, delivery.next_attempt_at) = (0, None);
        let pending = DeliveryState::Pending;
        self.folder.write_delivery(name, pending, id, &delivery, Durability::Flushed)?;
        if state == pending {
            if self.queue().waiting(id).is_some_and(|waiting| !waiting.is_busy) {
                self.queue().postpone(id, Instant::now());
            }
        } else {
            self.folder.remove_delivery(name, state, id)?;
            // Otherwise a power cut could bring it back, and it would count as the newer one.
            self.folder.flush(name, state)?;
            let mut waiting = self.waiting(&delivery);
            if self.has_document(id)? {
                waiting.needs_document = None;
            }
            let mut queue = self.queue();
            queue.forget(id);
            queue.wait(id.to_owned(), waiting);
        }
        self.wake.notify_one();
        Ok(true)
    }

    /// The delivery with this id in this state. Blocks.
    pub(super) fn read(
        &self,
        state: DeliveryState,
        id: &str,
    ) -> Result<Option<Delivery>, StoreError> {
        let bytes = self.folder.delivery(&self.webhook.name, state, id)?;
        let delivery = bytes.and_then(|bytes| serde_json::from_slice::<Delivery>(&bytes).ok());
        Ok(delivery.filter(|delivery| delivery.id == id))
    }

    /// The files of the webhook.
    pub(super) fn folder(&self) -> &WebhookFolder {
        &self.folder
    }

    /// The deliveries. Locked for moments only, never during a write.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the attempts go.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_document(&self, id: &str) -> Result<bool, StoreError> {
        let documents = self.folder.documented(&self.webhook.name)?;
        Ok(documents.iter().any(|known| known == id))
    }

    fn waiting(&self, delivery: &Delivery) -> Waiting {
        let rest = delivery.next_attempt_at.and_then(|at| (at - Utc::now()).to_std().ok());
        // A later time means that the clock was set back.
        let rest = rest.unwrap_or_default().min(LONGEST);
        let needs_document = match (&delivery.payload.data, self.webhook.kind) {
            (Data::Repository(data), WebhookKind::DependencyTrack) => {
                data.job_id.parse::<JobId>().ok().map(|job| (job, data.repo_index))
            }
            _ => None,
        };
        Waiting {
            created_at: delivery.created_at,
            due: Instant::now() + rest,
            is_busy: false,
            needs_document,
        }
    }

    fn note(&self, attempt: &Attempt, verdict: Verdict) {
        let mut state = self.state();
        if verdict == Verdict::Delivered {
            state.last_success = Some(attempt.at);
            (state.failing_since, state.failures) = (None, 0);
        } else {
            state.last_failure = Some(attempt.clone());
            state.failing_since.get_or_insert_with(Instant::now);
            state.failures = state.failures.saturating_add(1);
            state.is_disabled |= verdict == Verdict::Gone;
        }
    }

    fn store_pending(&self, delivery: &Delivery) {
        let (name, pending) = (&self.webhook.name, DeliveryState::Pending);
        let written =
            self.folder.write_delivery(name, pending, &delivery.id, delivery, Durability::Content);
        // The old file stays: after a restart the delivery is tried once more than necessary.
        self.log(written, "cannot store the outcome of an attempt");
    }

    fn settle(&self, delivery: &Delivery, state: DeliveryState) {
        let (name, id) = (&self.webhook.name, &delivery.id);
        let durability = match state {
            DeliveryState::Failed => Durability::Flushed,
            _ => Durability::Content,
        };
        let written = self.folder.write_delivery(name, state, id, delivery, durability);
        let moved = written
            .and_then(|()| self.folder.remove_delivery(name, DeliveryState::Pending, id))
            .and_then(|()| match state {
                DeliveryState::Delivered => self.folder.remove_document(name, id),
                _ => Ok(()),
            });
        self.log(moved, "cannot store that a delivery has ended");
        self.queue().settle(id, state, delivery.created_at);
        self.trim();
    }

    /// Removes the oldest deliveries beyond the limits.
    fn trim(&self) {
        let excess = self.queue().take_excess(self.webhook.max_pending);
        let mut lost = 0;
        for (id, state) in &excess {
            let name = &self.webhook.name;
            let removed = self
                .folder
                .remove_delivery(name, *state, id)
                .and_then(|()| self.folder.remove_document(name, id));
            self.log(removed, "cannot remove a delivery");
            lost += u64::from(*state != DeliveryState::Delivered);
        }
        if lost == 0 {
            return;
        }
        self.counters.lost.fetch_add(lost, Relaxed);
        let losses = {
            let mut state = self.state();
            state.losses = Losses { count: state.losses.count + lost, last_at: Some(Utc::now()) };
            state.losses
        };
        self.log(
            self.folder.write_losses(&self.webhook.name, &losses),
            "cannot store the number of lost deliveries",
        );
        tracing::error!(
            webhook = self.webhook.name,
            lost,
            total = losses.count,
            "more deliveries wait than max_pending: the oldest were removed unsent; repair the target, or \
             raise max_pending"
        );
    }

    fn log(&self, done: Result<(), StoreError>, what: &str) {
        if let Err(error) = done {
            tracing::error!(webhook = self.webhook.name, error = chain(&error), "{what}");
        }
    }
}

/// A number between 0 and 1.
fn random() -> f64 {
    use ring::rand::SecureRandom;
    let mut bytes = [0; 4];
    // Without a random number the pause is the shortest one.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
