//! Follows a running attempt to its end.
//!
//! Input: a running shim, orders, changes of its status file. Output: statuses in NATS, and what becomes of the message.
//!
//! Invariants: of several changes, the newest is sent, at most ten a second; whoever ends an attempt waits until none of
//! its processes is left.

use super::{Attempt, Outcome};
use crate::{
    agent::shared::blocking,
    store::{chain, read},
    supervisor::{LocalAttempt, LocalEnd, LocalEnding},
    wire::{
        order::Reason,
        status::{Kind, MAX_STATUS_BYTES},
    },
};
use std::{path::Path, time::Duration};
use tokio::{
    task::{block_in_place, spawn_blocking},
    time::sleep,
};

/// The minimum pause between two statuses of an attempt: the newest one is sent.
const STATUS_PAUSE: Duration = Duration::from_millis(100);
/// How often a status file is read without an event.
const REREAD: Duration = Duration::from_secs(1);

impl Attempt {
    /// Follows a running attempt to its end.
    pub(super) async fn follow(&self, (local, mut ending): (LocalAttempt, LocalEnding)) -> Outcome {
        let (shared, entry) = (&self.shared, self.entry());
        let status = shared.jobs.job(&entry.key.job).status(entry.key.index);
        let mirroring = self.mirror(&status);
        tokio::pin!(mirroring);
        let mut orders = entry.orders();
        orders.mark_changed();
        let (mut is_lost, mut is_handed_back) = (false, false);
        let end = loop {
            let reason = tokio::select! {
                end = &mut ending => break end,
                () = &mut mirroring => continue,
                changed = orders.changed() => {
                    let order = *orders.borrow_and_update();
                    match (changed, order) {
                        (Ok(()), Some(reason)) => reason,
                        _ => continue,
                    }
                }
                () = entry.lost.cancelled(), if !is_lost => {
                    is_lost = true;
                    Reason::End
                }
                () = shared.hand_back.cancelled(), if !is_handed_back => {
                    is_handed_back = true;
                    Reason::Stop
                }
            };
            let (attempts, ordered) = (shared.attempts.clone(), local.clone());
            let done = blocking(move || ordered.order(&attempts, reason.for_shim())).await;
            if let Err(error) = done {
                tracing::warn!(repository = %entry.key, error = chain(&error), "cannot order a scan to end");
            }
        };
        shared.mirror.forget(&status);
        let attempts = shared.attempts.clone();
        let settled = spawn_blocking(move || local.settle(&attempts, &end)).await;
        let end = settled.unwrap_or(LocalEnd { exit_code: None, killed: None });
        if is_handed_back && !is_lost && !entry.lost.is_cancelled() && entry.order().is_none() {
            return Outcome::HandBack(None);
        }
        self.finish(end).await
    }

    /// Sends the status file whenever it has changed; never ends.
    async fn mirror(&self, status: &Path) {
        let changed = self.shared.mirror.watch(status);
        let mut last = None;
        let mut is_first = true;
        loop {
            // The first status may be older than the watch.
            if !std::mem::replace(&mut is_first, false) {
                tokio::select! {
                    () = changed.notified() => {}
                    () = sleep(REREAD) => {}
                }
            }
            let most = u64::try_from(MAX_STATUS_BYTES).unwrap_or(u64::MAX);
            // Another thread for each status would wait twice for a processor.
            let read = block_in_place(|| read::whole(status, most));
            let Ok((bytes, signature)) = read else { continue };
            if last == Some(signature) || self.entry().lost.is_cancelled() {
                continue;
            }
            let bytes = self.entry().masked(bytes);
            let header = self.header(Kind::Running);
            match self.shared.bus.put_status(&self.entry().key, &header, &bytes).await {
                Ok(()) => last = Some(signature),
                Err(error) => tracing::debug!(%error, "cannot store a status"),
            }
            sleep(STATUS_PAUSE).await;
        }
    }
}
