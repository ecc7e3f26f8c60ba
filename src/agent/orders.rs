//! Orders of the server.
//!
//! Input: changes of the bucket of orders. Output: the order at the attempt that it is for.
//!
//! Invariants: a message is a hint that may be lost while the agent is disconnected; after each reconnection the orders of
//! all attempts are read.

use super::{bus::is_put, registry::Entry, shared::Shared};
use crate::wire::{names::RepositoryKey, order::RemoteOrder};
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Passes orders on until the agent ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let prefix = shared.bus.order_prefix().to_owned();
    loop {
        match shared.bus.connection.client.subscribe(format!("{prefix}>")).await {
            Ok(messages) => follow(&shared, &prefix, messages).await,
            Err(error) => tracing::warn!(%error, "cannot subscribe to orders; trying again"),
        }
        sleep(PAUSE).await;
    }
}

async fn follow(shared: &Shared, prefix: &str, mut messages: async_nats::Subscriber) {
    let mut link = shared.bus.connection.link.clone();
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return };
                if message.headers.as_ref().is_some_and(|headers| !is_put(headers)) {
                    continue;
                }
                let key = message.subject.strip_prefix(prefix).and_then(RepositoryKey::of_token);
                let entry = key.and_then(|key| shared.registry.get(&key));
                if let (Some(entry), Ok(order)) = (entry, RemoteOrder::read(&message.payload)) {
                    take(shared, &entry, &order);
                }
            }
            changed = link.changed() => {
                if changed.is_ok() && link.borrow_and_update().connected {
                    for entry in shared.registry.all() {
                        check(shared, &entry).await;
                    }
                }
            }
        }
    }
}

/// Reads the order for an attempt. A failure is no order: the next reconnection or order is another chance.
pub(super) async fn check(shared: &Shared, entry: &Entry) {
    match shared.bus.order(&entry.key).await {
        Ok(Some(order)) => take(shared, entry, &order),
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, repository = %entry.key, "cannot read the order"),
    }
}

fn take(shared: &Shared, entry: &Entry, order: &RemoteOrder) {
    if let Some(reason) = order.applies_to(&shared.bus.agent, entry.attempt) {
        entry.give(reason);
    }
}
