//! One attempt, from its message to its acknowledgement.
//!
//! Input: a delivery of a message, or an attempt of an earlier run of the agent. Output: a final state in NATS, or the
//! message handed to other agents.
//!
//! Invariants: nothing is removed here before the message is acknowledged or the attempt is lost; what is acknowledged is
//! stored.

mod begin;
mod follow;

use super::{
    delivery::{Delivered, deliver},
    keeper::Keeper,
    lease::Lease,
    orders,
    registry::{Entry, Place},
    shared::{Shared, Ticket},
};
use crate::{
    supervisor::{LocalAttempt, LocalEnd, LocalEnding},
    sys,
    wire::{
        attempt::AttemptMessage,
        heartbeat::interval,
        order::Reason,
        status::{Kind, StatusHeader},
    },
};
use async_nats::jetstream::AckKind;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How long NATS waits before it delivers a message again that this agent could not begin.
const NOT_HERE: Duration = Duration::from_secs(5);

/// A message that was delivered.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) message: AttemptMessage,
    /// From 1.
    pub(super) number: u64,
    /// Where it is acknowledged.
    pub(super) reply: String,
    /// When it was received.
    pub(super) received: Duration,
}

/// What becomes of a message.
enum Outcome {
    /// The final state is stored, and the message acknowledged.
    Delivered,
    /// The message is acknowledged: nothing is left to do.
    Settled,
    /// Another agent has it, or gets it.
    Lost,
    /// Other agents get it, after this pause.
    HandBack(Option<Duration>),
    /// NATS is away, and the agent has to stop: the next run delivers what is there.
    Left,
}

/// Runs the attempt of a delivery.
pub(super) async fn run(shared: Arc<Shared>, delivery: Delivery) {
    let key = delivery.message.key.clone();
    let attempt = delivery.message.attempt(delivery.number);
    let place = loop {
        match shared.registry.enter(&key, attempt, delivery.reply.clone()) {
            Ok(place) => break place,
            Err(entry)
                if entry.lost.is_cancelled() || entry.attempt < delivery.message.first_attempt =>
            {
                // Its processes are about to end.
                entry.lose();
                keep_until(&shared, &delivery.reply, interval_of(&delivery.message), &entry).await;
            }
            Err(entry) => {
                // NATS has delivered what runs here, because an acknowledgement was lost.
                entry.replace_reply(delivery.reply);
                return;
            }
        }
    };
    let ack_wait = Duration::from_secs(delivery.message.ack_wait_secs);
    let lease = Lease::new(delivery.received, ack_wait);
    let keeper = Keeper::start(&shared, &place.entry, lease, ack_wait);
    let attempt = Attempt {
        shared: Arc::clone(&shared),
        message: delivery.message,
        delivery: delivery.number,
        keeper,
        place,
        sequence: Arc::default(),
    };
    attempt.run().await;
}

/// Continues an attempt of an earlier run of the agent: `living` is its shim, if it lives.
/// Its place is taken when this returns.
pub(super) fn resume(
    shared: Arc<Shared>,
    ticket: Ticket,
    confirmed: Duration,
    living: Option<(LocalAttempt, LocalEnding)>,
) -> Option<impl Future<Output = ()> + Send + 'static> {
    let key = ticket.message.key.clone();
    let place = shared.registry.enter(&key, ticket.attempt, ticket.reply.clone()).ok()?;
    let ack_wait = Duration::from_secs(ticket.message.ack_wait_secs);
    let lease = Lease::resumed(sys::since_boot(), confirmed, ack_wait);
    let keeper = Keeper::start(&shared, &place.entry, lease, ack_wait);
    keeper.keep_ticket(ticket.clone());
    let attempt = Attempt {
        shared,
        message: ticket.message,
        delivery: ticket.delivery,
        keeper,
        place,
        sequence: Arc::default(),
    };
    Some(attempt.resume(living))
}

fn interval_of(message: &AttemptMessage) -> Duration {
    interval(Duration::from_secs(message.ack_wait_secs))
}

/// Keeps a message while an earlier attempt of its repository ends here.
async fn keep_until(shared: &Shared, reply: &str, every: Duration, entry: &Entry) {
    loop {
        tokio::select! {
            () = entry.gone.cancelled() => return,
            () = sleep(every) => {
                let kept = shared.bus.acknowledge(reply, AckKind::Progress).await;
                if let Err(error) = kept {
                    tracing::debug!(%error, "a sign of life is not confirmed");
                }
            }
        }
    }
}

struct Attempt {
    shared: Arc<Shared>,
    message: AttemptMessage,
    delivery: u64,
    keeper: Keeper,
    place: Place,
    sequence: Arc<AtomicU64>,
}

impl Attempt {
    fn entry(&self) -> &Arc<Entry> {
        &self.place.entry
    }

    async fn run(self) {
        let (shared, entry) = (Arc::clone(&self.shared), Arc::clone(self.entry()));
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared,
            () = entry.lost.cancelled() => Err(Outcome::Lost),
            () = shared.draining.cancelled() => Err(Outcome::HandBack(None)),
        };
        // From here on something may run: nothing of this is abandoned.
        let outcome = match prepared {
            Err(outcome) => outcome,
            Ok(task) => match self.start(task).await {
                Err(outcome) => outcome,
                Ok(local) => self.follow(local).await,
            },
        };
        self.close(outcome).await;
    }

    async fn resume(self, living: Option<(LocalAttempt, LocalEnding)>) {
        // Later statuses must count as later.
        let lost = self.entry().lost.clone();
        let known = async {
            loop {
                match self.shared.bus.statuses(&self.entry().key).await {
                    Ok(stored) => return stored,
                    Err(_) => sleep(PAUSE).await,
                }
            }
        };
        let stored = tokio::select! {
            stored = known => stored,
            () = lost.cancelled() => Vec::new(),
        };
        let own = stored.iter().find(|stored| stored.agent == self.shared.bus.agent);
        self.sequence.store(own.map_or(0, |own| own.header.sequence), Ordering::Relaxed);
        if stored.iter().any(|stored| stored.header.attempt > self.entry().attempt) {
            self.entry().lose();
        }
        orders::check(&self.shared, self.entry()).await;
        tracing::info!(repository = %self.entry().key, attempt = self.entry().attempt, lives = living.is_some(), "continuing an attempt of the agent's earlier run");
        let outcome = match living {
            Some(local) => self.follow(local).await,
            None => self.finish(LocalEnd { exit_code: None, killed: None }).await,
        };
        self.close(outcome).await;
    }

    fn header(&self, kind: Kind) -> StatusHeader {
        let agent = self.shared.bus.agent.clone();
        let sequence = match kind {
            Kind::Began => 0,
            _ => self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let began = StatusHeader::began(agent, self.entry().attempt, self.delivery);
        StatusHeader { sequence, kind, ..began }
    }

    /// Delivers the final state.
    async fn finish(&self, end: LocalEnd) -> Outcome {
        let entry = self.entry();
        if entry.lost.is_cancelled() {
            return Outcome::Lost;
        }
        if entry.order() == Some(Reason::End) {
            return Outcome::Settled;
        }
        let header = self.header(Kind::Final);
        match deliver(&self.shared, entry, &self.keeper, &header, end).await {
            Delivered::Stored => Outcome::Delivered,
            Delivered::Lost => Outcome::Lost,
            Delivered::Stopped => Outcome::Left,
        }
    }

    /// Ends the attempt here, and answers the message.
    async fn close(self, outcome: Outcome) {
        let (shared, entry) = (self.shared, Arc::clone(&self.place.entry));
        let (repository, attempt) = (&entry.key, entry.attempt);
        let is_left = matches!(outcome, Outcome::Left);
        match outcome {
            Outcome::Left => {
                tracing::warn!(%repository, attempt, "NATS is away; the agent's next run delivers the attempt if it still holds it");
            }
            Outcome::Delivered => {
                tracing::info!(%repository, attempt, "the final state of an attempt is delivered");
            }
            Outcome::Lost => {
                tracing::info!(%repository, attempt, "an attempt is lost; nothing more of it is stored");
            }
            Outcome::Settled => {
                // The message may be gone already: the server removes it.
                let _ = shared.bus.acknowledge(&entry.reply(), AckKind::Ack).await;
                let _ = shared.bus.delete_status(&entry.key).await;
                tracing::info!(%repository, attempt, "an attempt is no longer needed");
            }
            Outcome::HandBack(pause) => {
                entry.lose();
                // Others may begin at once: no heartbeat lists the attempt any more.
                let _ = shared.beats.beat().await;
                let handed = shared.bus.acknowledge(&entry.reply(), AckKind::Nak(pause)).await;
                match handed {
                    Ok(()) => tracing::info!(%repository, attempt, "handed an attempt back"),
                    Err(error) => {
                        tracing::warn!(%repository, attempt, %error, "cannot hand an attempt back; NATS delivers it again after its lease");
                    }
                }
            }
        }
        self.keeper.stop().await;
        if !is_left {
            shared.give_back(&entry.key).await;
        }
        drop(self.place);
        shared.beats.soon();
    }
}
