//! A delivery: an event for one webhook, and how often it was tried. Plain data.
//!
//! Input: an event. Output: the file of the delivery. Invariants: the payload is fixed when the delivery is made, so it is
//! complete even if the job is removed; the id depends only on the event, so that an event that is recorded again after
//! a crash is the same delivery, and a receiver can recognize it.

use crate::model::{
    time::{self, Timestamp},
    webhook::Payload,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the format of the file.
const SCHEMA: u32 = 1;

/// One delivery, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookDelivery")]
pub struct Delivery {
    pub schema: u32,
    /// The `webhook-id`.
    pub id: String,
    /// How often it was tried.
    pub attempts: u32,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub created_at: Timestamp,
    /// When it is tried next; null if it is not tried again, or as soon as possible.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub next_attempt_at: Option<Timestamp>,
    pub last_attempt: Option<Attempt>,
    pub payload: Payload,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookAttempt")]
pub struct Attempt {
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    pub duration_ms: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it failed; null if the target accepted it.
    pub error: Option<String>,
    /// The beginning of the answer of a target that did not accept it.
    pub answer: Option<String>,
}

/// An event of a job, with the id that it has for every webhook.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) payload: Payload,
}

impl Event {
    /// An event; `parts` identify it among all events.
    pub(super) fn new(parts: &[&str], payload: Payload) -> Self {
        let name = format!("scanwatch\n{}", parts.join("\n"));
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        Self { id: id.to_string(), payload }
    }

    /// The delivery of this event.
    pub(super) fn delivery(&self, now: Timestamp) -> Delivery {
        Delivery {
            schema: SCHEMA,
            id: self.id.clone(),
            attempts: 0,
            created_at: now,
            next_attempt_at: None,
            last_attempt: None,
            payload: self.payload.clone(),
        }
    }
}

/// Whether a text is an id of a delivery, and so can be a part of a path.
pub(super) fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}
