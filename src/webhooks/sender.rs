//! The task that sends the deliveries of one webhook.
//!
//! Input: the queue of its [`Target`]. Output: attempts, at most `max_concurrent` at once, and documents, one at a time.
//!
//! Invariants: each webhook has a task of its own, so that a slow target delays no other; when the server stops, attempts
//! under way have a moment to end, and what did not end is sent again by the next server.

use super::{
    Documents,
    delivery::Delivery,
    target::Target,
    upload::{self},
};
use crate::{
    live::Live,
    model::{
        JobId,
        webhook::{Data, DeliveryState, WebhookKind},
    },
    pool::Pool,
    sbom::Gone,
    store::chain,
};
use std::{future::pending, io, sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long attempts under way may take when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// The pause after a file could not be read or written.
const DISK_PAUSE: Duration = Duration::from_secs(30);

/// What the task needs.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) target: Arc<Target>,
    pub(super) live: Arc<Live>,
    pub(super) documents: Documents,
    /// For the files of deliveries.
    pub(super) pool: Pool,
    /// For producing documents.
    pub(super) producing: Pool,
    pub(super) stop: CancellationToken,
}

impl Sender {
    /// Sends until the server stops, or the settings are read again.
    pub(super) async fn run(self) {
        let mut attempts = JoinSet::new();
        let mut producing = JoinSet::new();
        loop {
            let now = Instant::now();
            let is_enabled = !self.target.state().is_disabled;
            while is_enabled && attempts.len() < self.target.webhook.max_concurrent {
                let Some(id) = self.target.queue().take_due(now) else { break };
                attempts.spawn(self.clone().attempt(id));
            }
            if producing.is_empty()
                && let Some((id, job, index)) = self.target.queue().take_undocumented(now)
            {
                producing.spawn(self.clone().produce(id, job, index));
            }
            let has_room = is_enabled && attempts.len() < self.target.webhook.max_concurrent;
            let due = self.target.queue().next_due().filter(|_| has_room);
            let undocumented = self.target.queue().next_undocumented();
            let next = due.into_iter().chain(undocumented.filter(|_| producing.is_empty())).min();
            let alarm = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.target.wake.notified() => {}
                Some(_) = attempts.join_next() => {}
                Some(_) = producing.join_next() => {}
                () = alarm => {}
            }
        }
        let rest = async { while attempts.join_next().await.is_some() {} };
        // What is left is aborted with the set, and its file still waits.
        let _ = timeout(STOP_GRACE, rest).await;
    }

    async fn attempt(self, id: String) {
        let Some(delivery) = self.read(&id).await else { return };
        let (attempt, asked) = match (self.target.webhook.kind, &delivery.payload.data) {
            (WebhookKind::DependencyTrack, Data::Repository(repository)) => {
                let (target, of) = (Arc::clone(&self.target), id.clone());
                let read = move || target.folder().document(&target.webhook.name, &of);
                match self.pool.run(read).await {
                    Ok(Ok(Some(document))) => self.target.client.upload(repository, document).await,
                    Ok(Ok(None)) => {
                        return self.give_up(delivery, "its document is missing").await;
                    }
                    Ok(Err(_)) | Err(_) => return self.postpone(&id),
                }
            }
            _ => self.target.client.send(&id, &delivery.payload).await,
        };
        let target = Arc::clone(&self.target);
        let applied = self.pool.run(move || target.apply(delivery, &attempt, asked)).await;
        if applied.is_err() {
            self.postpone(&id);
        }
    }

    /// Produces the document of a delivery, and stores it: from then on the delivery does not depend on the job.
    async fn produce(self, id: String, job: JobId, index: u32) {
        let Some(delivery) = self.read(&id).await else { return };
        let Some(live) = self.live.get(&job) else {
            let reason = "the job was deleted before its bill of materials was produced";
            return self.give_up(delivery, reason).await;
        };
        let (target, of) = (Arc::clone(&self.target), id.clone());
        let document = self.documents.of(&live, index);
        let written = self.producing.run(move || {
            target.folder().write_document(&target.webhook.name, &of, |file| {
                upload::compress(file, |to| document.write_to(to))
            })
        });
        match written.await {
            Ok(Ok(())) => {
                self.target.state().cannot_store = false;
                self.target.queue().documented(&id);
                self.target.wake.notify_one();
            }
            Ok(Err(error)) if is_gone(&error.source) => {
                let reason = "the results were removed or replaced before its bill of materials was produced";
                self.give_up(delivery, reason).await;
            }
            Ok(Err(error)) => {
                tracing::warn!(
                    webhook = self.target.webhook.name,
                    error = chain(&error),
                    "cannot store a bill of materials; it is tried again in 30 s"
                );
                self.target.state().cannot_store = true;
                self.postpone(&id);
            }
            Err(_) => self.give_up(delivery, "its bill of materials could not be produced").await,
        }
    }

    /// Reads a delivery that waits; `None` if it has to wait longer, or is gone.
    async fn read(&self, id: &str) -> Option<Delivery> {
        let (target, of) = (Arc::clone(&self.target), id.to_owned());
        match self.pool.run(move || target.read(DeliveryState::Pending, &of)).await {
            Ok(Ok(Some(delivery))) => Some(delivery),
            Ok(Ok(None)) => {
                tracing::error!(
                    webhook = self.target.webhook.name,
                    id,
                    "the file of a delivery is missing or invalid; it is not sent"
                );
                self.target.queue().forget(id);
                None
            }
            Ok(Err(_)) | Err(_) => {
                self.postpone(id);
                None
            }
        }
    }

    async fn give_up(&self, delivery: Delivery, reason: &'static str) {
        let target = Arc::clone(&self.target);
        let _ = self.pool.run(move || target.give_up(&delivery, reason)).await;
    }

    fn postpone(&self, id: &str) {
        self.target.queue().postpone(id, Instant::now() + DISK_PAUSE);
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.downcast_ref::<Gone>().is_some())
}
