//! The engine over time: asks Slurm, reads the shared folder, submits what waits, cancels what is not needed.
//!
//! Input: attempts to submit, the time. Output: calls of Slurm, what is known (`hub`). Invariants: Slurm is asked once per interval for all
//! scans, and never twice at the same time; a file of an element is removed only once nobody follows it.

use super::{
    batch::{self, Submission},
    hub::Hub,
};
use crate::model::element::ElementName;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

/// How long an attempt waits for others to be submitted with it.
const WINDOW: Duration = Duration::from_millis(100);
/// How often the shared folder is read.
const FOLDER_INTERVAL: Duration = Duration::from_millis(500);
/// How often files of elements that nobody follows are removed; they stay for one to two of these.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The attempts that are to be submitted.
pub(super) type Inbox = Arc<Mutex<Option<mpsc::UnboundedReceiver<Submission>>>>;

/// Serves the engine for as long as the future is awaited.
pub(super) async fn serve(hub: Arc<Hub>, inbox: &Inbox) {
    let inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut inbox) = inbox else { return std::future::pending().await };
    let (mut asks, mut reads, mut submits) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let mut polls = ticks(hub.config.poll_interval);
    let mut folders = ticks(FOLDER_INTERVAL);
    let mut sweeps = ticks(SWEEP_INTERVAL);
    let mut left = Left::default();
    let (mut waiting, mut window) = (Vec::new(), None);
    loop {
        tokio::select! {
            Some(submission) = inbox.recv() => {
                waiting.push(submission);
                window.get_or_insert_with(|| Instant::now() + WINDOW);
            }
            () = sleep_until(window.unwrap_or_else(Instant::now)), if window.is_some() => {
                window = None;
                for batch in arrays(std::mem::take(&mut waiting), hub.config.array_size) {
                    submits.spawn(batch::submit(Arc::clone(&hub), batch));
                }
            }
            Some(_) = submits.join_next(), if !submits.is_empty() => {}
            Some(_) = asks.join_next(), if !asks.is_empty() => {}
            Some(_) = reads.join_next(), if !reads.is_empty() => {}
            _ = polls.tick(), if asks.is_empty() => {
                let hub = Arc::clone(&hub);
                asks.spawn(async move {
                    hub.ask().await;
                    hub.carry_out_cancels().await;
                });
            }
            _ = folders.tick(), if reads.is_empty() => {
                let hub = Arc::clone(&hub);
                reads.spawn(async move {
                    let elements = hub.elements.clone();
                    match hub.pool.run(move || elements.list()).await {
                        Ok(Ok(listed)) => hub.take_folder(listed),
                        Ok(Err(error)) => tracing::warn!(%error, "cannot read the folder that is shared with Slurm"),
                        Err(error) => tracing::error!(%error, "cannot read the folder that is shared with Slurm"),
                    }
                });
            }
            _ = sweeps.tick() => left = sweep(&hub, left).await,
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Splits what waits into arrays of at most this size.
fn arrays(mut waiting: Vec<Submission>, size: usize) -> Vec<Vec<Submission>> {
    let mut arrays = Vec::new();
    while !waiting.is_empty() {
        let rest = waiting.split_off(size.min(waiting.len()));
        arrays.push(std::mem::replace(&mut waiting, rest));
    }
    arrays
}

/// What nobody followed at the last sweep.
#[derive(Debug, Default)]
struct Left {
    elements: BTreeSet<ElementName>,
    new: BTreeSet<PathBuf>,
}

/// Removes what nobody followed at the last sweep and now. A task among it can run no more.
async fn sweep(hub: &Arc<Hub>, before: Left) -> Left {
    let shared = Arc::clone(hub);
    let work = move || {
        let known = shared.elements.list().unwrap_or_default().known;
        let mut left: BTreeSet<_> =
            known.into_iter().filter(|name| !shared.is_followed(name)).collect();
        for name in left.intersection(&before.elements) {
            shared.elements.remove(name);
        }
        left.retain(|name| !before.elements.contains(name));
        Left { elements: left, new: shared.elements.sweep_new(&before.new) }
    };
    hub.pool.run(work).await.unwrap_or_default()
}
