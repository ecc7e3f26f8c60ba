//! Stores the final state of an attempt with its files, and acknowledges the message.
//!
//! Input: an attempt whose processes have ended. Output: objects, the final status, the acknowledgement.
//!
//! Invariants: in this order; while NATS is away, the delivery waits; an attempt that is lost stores nothing.

use super::{
    bus::{BusError, Stored},
    keeper::{Keeper, later_attempt},
    registry::Entry,
    shared::Shared,
};
use crate::{
    store::read,
    supervisor::{KilledShim, LocalEnd},
    wire::status::{Killed, Kind, MAX_STATUS_BYTES, MAX_STATUS_OBJECT_BYTES, StatusHeader},
};
use async_nats::jetstream::AckKind;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an agent that has to stop waits for NATS.
const FAREWELL: Duration = Duration::from_secs(5);

/// What became of a final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    Stored,
    /// The attempt is lost.
    Lost,
    /// The agent has to stop.
    Stopped,
}

/// Stores the final state.
pub(super) async fn deliver(
    shared: &Shared,
    entry: &Entry,
    keeper: &Keeper,
    header: &StatusHeader,
    end: LocalEnd,
) -> Delivered {
    let stopped = async {
        shared.hand_back.cancelled().await;
        sleep(FAREWELL).await;
    };
    tokio::pin!(stopped);
    let mut is_noted = false;
    let is_stored = AtomicBool::new(false);
    loop {
        let attempt = async {
            shared.bus.connection.connected().await;
            // The server has read it: in a stream that was created again, nothing confirms the acknowledgement.
            if is_stored.load(Ordering::Acquire) && is_read(shared, entry).await {
                return Ok(());
            }
            if !keeper.is_held(shared) || later_attempt(shared, entry).await == Some(true) {
                entry.lose();
                return Ok(());
            }
            if !is_stored.load(Ordering::Acquire) {
                store(shared, entry, header.clone(), end).await?;
                is_stored.store(true, Ordering::Release);
            }
            shared.bus.acknowledge(&entry.reply(), AckKind::Ack).await
        };
        let done = tokio::select! {
            done = attempt => done,
            () = entry.lost.cancelled() => return Delivered::Lost,
            () = &mut stopped => return Delivered::Stopped,
        };
        match done {
            Ok(()) if entry.lost.is_cancelled() => return Delivered::Lost,
            Ok(()) => return Delivered::Stored,
            Err(error) if !std::mem::replace(&mut is_noted, true) => {
                tracing::warn!(repository = %entry.key, %error, "cannot deliver the final state of an attempt; trying again until NATS accepts it");
            }
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// Whether the server has removed the final state, as it does once the state is durable there.
async fn is_read(shared: &Shared, entry: &Entry) -> bool {
    let own = |stored: &Stored| {
        stored.agent == shared.bus.agent && stored.header.attempt == entry.attempt
    };
    let stored = shared.bus.statuses(&entry.key).await;
    stored.is_ok_and(|stored| !stored.iter().any(own))
}

async fn store(
    shared: &Shared,
    entry: &Entry,
    mut header: StatusHeader,
    end: LocalEnd,
) -> Result<(), BusError> {
    let (bus, key, attempt) = (&shared.bus, &entry.key, entry.attempt);
    let job = shared.jobs.job(&key.job);
    header.kind = Kind::Final;
    header.exit_code = end.exit_code;
    header.ordered = entry.order();
    header.killed = end.killed.map(|killed| match killed {
        KilledShim::Timeout(secs) => Killed::Timeout(secs),
        KilledShim::Order(_) => Killed::Order,
    });
    let most = shared.config.limits.max_result_bytes;
    header.result = bus.put_file(key.result_object(attempt), &job.result(key.index), most).await?;
    // The log ends with a line that reports its limit.
    let most = shared.config.scanner.log_max_bytes.saturating_mul(2).max(1 << 20);
    header.log = bus.put_file(key.log_object(attempt), &job.log(key.index), most).await?;
    let status = read::whole(&job.status(key.index), MAX_STATUS_OBJECT_BYTES);
    let mut bytes = entry.masked(status.map(|(bytes, _)| bytes).unwrap_or_default());
    if bytes.len() > MAX_STATUS_BYTES {
        let name = key.status_object(attempt);
        header.status = Some(bus.put_object(name, &mut bytes.as_slice()).await?);
        bytes.clear();
    }
    bus.put_status(key, &header, &bytes).await
}
