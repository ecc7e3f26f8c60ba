//! Takes messages: one per free slot.
//!
//! Input: free slots. Output: deliveries.
//!
//! Invariants: no message is requested without a slot for it; with several labels, each has its turn.

use super::{attempt::Delivery, shared::Shared, streak::Streak};
use crate::{
    sys,
    wire::{WireError, attempt::AttemptMessage},
};
use async_nats::jetstream::{AckKind, Message, consumer::PullConsumer};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::sleep;

/// How long a request for a message waits for one.
const WAIT: Duration = Duration::from_secs(2);
/// The same, if other labels have their turn afterwards.
const SHORT_WAIT: Duration = Duration::from_millis(500);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// After this time of failures the log names them.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long NATS waits before it delivers a message again that this agent cannot read.
const NOT_HERE: Duration = Duration::from_secs(10);

/// The labels, in turns.
#[derive(Debug)]
pub(super) struct Turns {
    next: usize,
    streak: Streak,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { next: 0, streak: Streak::new(PATIENCE) }
    }

    /// The next message, if one arrives within a short time.
    pub(super) async fn next(&mut self, shared: &Shared) -> Option<Delivery> {
        let consumers = &shared.bus.consumers;
        // What waits already comes first, whatever its label.
        if consumers.len() > 1 {
            for _ in 0..consumers.len() {
                let waiting = self.turn(consumers);
                let fetched = waiting.fetch().max_messages(1).messages().await;
                if let Ok(mut fetched) = fetched
                    && let Some(Ok(message)) = fetched.next().await
                {
                    return read(message).await;
                }
            }
        }
        let wait = if consumers.len() > 1 { SHORT_WAIT } else { WAIT };
        let batch = self.turn(consumers).batch().max_messages(1).expires(wait).messages().await;
        let failure = match batch {
            Err(error) => error.to_string(),
            Ok(mut batch) => match batch.next().await {
                None => return self.requested(None).await,
                Some(Ok(message)) => return self.requested(Some(message)).await,
                Some(Err(error)) => error.to_string(),
            },
        };
        if self.streak.fails(shared.bus.connection.link.borrow().connected) {
            tracing::warn!(
                failure,
                "NATS refuses the requests of this agent for scans; trying again. Does the consumer of its labels still exist? The server creates it"
            );
        } else {
            tracing::debug!(failure, "cannot request a message");
        }
        sleep(PAUSE).await;
        None
    }

    /// A request was answered.
    async fn requested(&mut self, message: Option<Message>) -> Option<Delivery> {
        if self.streak.succeeds() {
            tracing::info!("NATS answers the requests of this agent for scans again");
        }
        read(message?).await
    }

    fn turn<'a>(&mut self, consumers: &'a [PullConsumer]) -> &'a PullConsumer {
        self.next = (self.next + 1) % consumers.len();
        &consumers[self.next]
    }
}

/// Reads a message. One that cannot be read goes back: another agent may be of a version that can.
async fn read(message: Message) -> Option<Delivery> {
    let received = sys::since_boot();
    let number = message.info().ok().and_then(|info| u64::try_from(info.delivered).ok());
    let reply = message.reply.as_ref().map(ToString::to_string);
    let (Some(number), Some(reply)) = (number, reply) else {
        tracing::error!("NATS has delivered a message without delivery information");
        return None;
    };
    match AttemptMessage::read(&message.payload) {
        Ok(message) => Some(Delivery { message, number, reply, received }),
        Err(error) => {
            let hint = match error {
                WireError::Protocol(_) => "update this agent",
                _ => "the server drops it after its maximum number of deliveries",
            };
            tracing::error!(%error, hint, "cannot read a message; other agents get it");
            let _ = message.ack_with(AckKind::Nak(Some(NOT_HERE))).await;
            None
        }
    }
}

/// Hands a delivery back that came too late: the agent takes no more.
pub(super) async fn hand_back(shared: &Shared, delivery: &Delivery) {
    let _ = shared.bus.acknowledge(&delivery.reply, AckKind::Nak(None)).await;
}
