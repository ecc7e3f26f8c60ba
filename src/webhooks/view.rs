//! What is shown of webhooks: rows of lists, problems, counts.
//!
//! Input: the targets. Output: documents for the API. Invariants: of a URL only the origin is shown; no secret.

use super::{
    Webhooks,
    delivery::{Attempt, Delivery},
    target::Target,
};
use crate::model::{
    origin::Origin,
    time::{self, Timestamp},
    webhook::{DeliveryState, EventKind, WebhookKind},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// A target that fails for this long is a problem,
const LONG: Duration = Duration::from_hours(1);
/// and so is one that fails so many times in a row.
const OFTEN: u32 = 10;

/// A webhook of the settings.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub struct WebhookRow {
    pub name: String,
    pub kind: WebhookKind,
    /// Scheme, host and port of the target. The rest of its URL is not shown, because it may be a secret.
    pub target: String,
    pub events: Vec<EventKind>,
    /// The target answered 410: nothing is sent to it until the settings are read again.
    pub disabled: bool,
    /// The number of deliveries that wait.
    pub pending: usize,
    /// The number of deliveries that were given up and can be sent again.
    pub failed: usize,
    /// The number of deliveries that were removed unsent because too many waited, ever.
    pub lost: u64,
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub last_lost_at: Option<Timestamp>,
    /// The number of attempts that have failed since the last success.
    pub failures: u32,
    /// The last success since the server started.
    #[serde(with = "time::option")]
    #[schemars(with = "Option<Timestamp>")]
    pub last_success_at: Option<Timestamp>,
    /// The last failure since the server started.
    pub last_failure: Option<Attempt>,
}

/// A delivery, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "WebhookDeliveryRow")]
pub struct DeliveryRow {
    pub state: DeliveryState,
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// What is counted of a webhook, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookCounts {
    pub name: String,
    pub pending: usize,
    /// Outcomes and their counts since the start of the server.
    pub outcomes: [(&'static str, u64); 4],
}

impl Webhooks {
    /// All webhooks, in the order of the settings.
    pub fn list(&self) -> Vec<WebhookRow> {
        self.0.targets().iter().map(|target| row(target)).collect()
    }

    /// The counts of all webhooks.
    pub fn counts(&self) -> Vec<WebhookCounts> {
        let counts = |target: &Target| WebhookCounts {
            name: target.webhook.name.clone(),
            pending: target.queue().pending(),
            outcomes: [
                ("delivered", target.counters.delivered.load(Relaxed)),
                ("retried", target.counters.retried.load(Relaxed)),
                ("failed", target.counters.failed.load(Relaxed)),
                ("lost", target.counters.lost.load(Relaxed)),
            ],
        };
        self.0.targets().iter().map(|target| counts(target)).collect()
    }

    /// Why webhooks do not work, as sentences for people.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> =
            self.0.targets().iter().filter_map(|target| problem(target)).collect();
        if let Some(cause) = self.problem() {
            problems.push(format!("events cannot be recorded for webhooks: {cause}"));
        }
        problems
    }
}

fn row(target: &Target) -> WebhookRow {
    let (pending, failed) = {
        let queue = target.queue();
        (queue.pending(), queue.failed())
    };
    let state = target.state().clone();
    let webhook = &target.webhook;
    WebhookRow {
        name: webhook.name.clone(),
        kind: webhook.kind,
        target: Origin::of(&webhook.url).map(|origin| origin.to_string()).unwrap_or_default(),
        events: webhook.events.iter().copied().collect(),
        disabled: state.is_disabled,
        pending,
        failed,
        lost: state.losses.count,
        last_lost_at: state.losses.last_at,
        failures: state.failures,
        last_success_at: state.last_success,
        last_failure: state.last_failure,
    }
}

fn problem(target: &Target) -> Option<String> {
    let (name, state) = (&target.webhook.name, target.state().clone());
    let pending = target.queue().pending();
    if state.is_disabled {
        return Some(format!(
            "webhook `{name}`: its target answered 410, so nothing is sent until the settings are read again; \
             {pending} deliveries wait"
        ));
    }
    if pending >= target.webhook.max_pending {
        return Some(format!(
            "webhook `{name}`: {pending} deliveries wait, so each new one removes the oldest"
        ));
    }
    let since = state.failing_since?.elapsed();
    if since < LONG && state.failures < OFTEN {
        return None;
    }
    let error = state.last_failure.and_then(|attempt| attempt.error).unwrap_or_default();
    Some(format!(
        "webhook `{name}` has failed {} times in a row, for {} min: {error}; {pending} deliveries wait",
        state.failures,
        since.as_secs() / 60,
    ))
}
