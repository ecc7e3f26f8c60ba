//! One attempt that was given to the agents, from its publication to its end.
//!
//! Input: what agents report about it, orders of the loop, the time. Output: its files, and how it ended.
//!
//! Invariants: an attempt ends exactly once; its final state is on the disk before it ends; while NATS is away, no time
//! counts and nothing is given up but what was ordered to end; an attempt that no agent holds and no message names has
//! ended.

mod checks;
mod fetching;

use super::{
    files,
    hub::{Hub, Inbox, Leftover, Report, wire_key},
    message::interruptions_before,
    session::{Session, StoredMessage},
};
use crate::{
    model::attempt::{AttemptRecord, OrderReason, RemoteAttempt, UnwrittenEnd},
    pool::Pool,
    store::{StoreError, chain},
    supervisor::shim_exit::{Cause, Killed, ProcessTree, ShimExit},
    wire::{
        attempt::AttemptMessage,
        names::{AgentName, Label, RepositoryKey},
        order::{Reason, RemoteOrder},
        status::{self, Kind, StatusHeader},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

/// The name of this engine in records.
pub(super) const ENGINE: &str = "nats";

/// How often an attempt is checked.
const TICK: Duration = Duration::from_secs(1);
/// How long an agent may take past the limits of a scan to end it and to store its results.
const MARGIN: Duration = Duration::from_mins(2);

/// The message of an attempt.
#[derive(Debug)]
pub(super) enum Work {
    /// It is not known to be stored.
    Unpublished(Box<(Label, AttemptMessage)>),
    Published(StoredMessage),
    /// Another server has published it.
    Unknown,
}

/// The last order to an attempt, and when it was given.
type LastOrder = Option<(OrderReason, Instant)>;

/// An attempt as the loop holds it.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Remote {
    orders: Arc<watch::Sender<LastOrder>>,
}

impl Remote {
    /// An attempt without orders.
    pub(super) fn new() -> Self {
        Self { orders: Arc::new(watch::Sender::new(None)) }
    }

    /// Orders the attempt to end.
    pub(in crate::supervisor) fn order(&self, reason: OrderReason) {
        self.orders.send_replace(Some((reason, Instant::now())));
    }
}

/// Follows one attempt.
pub(super) struct Follower {
    hub: Arc<Hub>,
    repository: files::Repository,
    key: RepositoryKey,
    /// The attempt that began last, or the one that was published.
    record: AttemptRecord,
    work: Work,
    inbox: Inbox,
    orders: watch::Receiver<LastOrder>,
    /// Keeps the orders open as long as they are waited for.
    #[expect(dead_code, reason = "held, not read")]
    remote: Remote,
    /// The order that the agents have.
    sent: Option<OrderReason>,
    /// The agents have been given any order.
    has_order: bool,
    /// The newest report is not stored yet.
    is_pending: bool,
    ticks: u32,
    checked_at: Instant,
    missing_since: Option<Instant>,
    /// How long an agent has held the attempt.
    held: Duration,
    /// How long an agent has held the attempt since it was ordered to end it.
    disobeyed: Duration,
    /// The limit of `held`, and of `disobeyed`.
    limits: (Duration, Duration),
    timeout_secs: u64,
}

impl Follower {
    pub(super) fn new(
        hub: &Arc<Hub>,
        repository: files::Repository,
        record: AttemptRecord,
        (work, inbox): (Work, Inbox),
        remote: Remote,
    ) -> Self {
        let config = hub.setup.config.get();
        let timeout_secs = config.scanner.subprocess_timeout_secs;
        let grace = Duration::from_secs(config.scanner.kill_grace_secs) + MARGIN;
        Self {
            hub: Arc::clone(hub),
            key: wire_key(&repository.key),
            repository,
            record,
            work,
            inbox,
            orders: remote.orders.subscribe(),
            remote,
            sent: None,
            has_order: false,
            is_pending: false,
            ticks: 0,
            checked_at: Instant::now(),
            missing_since: None,
            held: Duration::ZERO,
            disobeyed: Duration::ZERO,
            limits: (Duration::from_secs(timeout_secs) + grace, grace),
            timeout_secs,
        }
    }

    /// Returns when the attempt has ended and its files are complete.
    pub(super) async fn run(mut self) -> ShimExit {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was reported or ordered before.
        self.inbox.mark_changed();
        self.orders.mark_changed();
        loop {
            let ended = tokio::select! {
                changed = self.inbox.changed() => match changed {
                    Ok(()) => Box::pin(self.take_report()).await,
                    // Another attempt of the same repository has been registered: never while this one runs.
                    Err(_) => Some(ShimExit::withdrawn(self.record.clone(), None)),
                },
                Ok(()) = self.orders.changed() => self.send_order().await,
                _ = ticks.tick() => Box::pin(self.check()).await,
            };
            if let Some(ended) = ended {
                self.leave();
                return ended;
            }
        }
    }

    /// Leaves what is in NATS to be removed.
    fn leave(&mut self) {
        self.hub.leave(Leftover {
            key: self.key.clone(),
            statuses: self.hub.unregister(&self.key),
            message: if let Work::Published(message) = self.work { Some(message) } else { None },
            has_order: self.has_order,
        });
    }

    fn has_begun(&self) -> bool {
        self.agent().is_some()
    }

    /// The agent that holds the attempt.
    fn agent(&self) -> Option<AgentName> {
        self.record.remote.as_ref()?.agent.as_ref()?.parse().ok()
    }

    /// Stores the newest report. Returns how the attempt ended, if it has.
    async fn take_report(&mut self) -> Option<ShimExit> {
        let report = self.inbox.borrow_and_update().clone()?;
        self.is_pending = false;
        match self.store(&report).await {
            Ok(ended) => ended,
            Err(error) => {
                if !std::mem::replace(&mut self.is_pending, true) {
                    tracing::warn!(repository = %self.key, error, "cannot store what an agent reports; retrying");
                }
                None
            }
        }
    }

    async fn store(&mut self, report: &Arc<Report>) -> Result<Option<ShimExit>, String> {
        let header = &report.header;
        let known = self.record.remote.as_ref();
        let is_known = self.record.attempt == header.attempt
            && known.is_some_and(|known| known.agent.as_deref() == Some(header.agent.as_str()));
        if !is_known && let Some(ended) = self.begin(header).await? {
            return Ok(Some(ended));
        }
        if header.kind == Kind::Final {
            return self.finish(report).await.map(Some);
        }
        let (repository, record) = (self.repository.clone(), self.record.clone());
        let report = Arc::clone(report);
        let write = move || repository.write_progress(&record, report.header.kind, &report.bytes);
        self.on(&self.hub.progress, write).await?;
        Ok(None)
    }

    /// An agent has begun an attempt. Returns how it ended if it may not begin any more.
    async fn begin(&mut self, header: &StatusHeader) -> Result<Option<ShimExit>, String> {
        let record = AttemptRecord {
            schema: 1,
            attempt: header.attempt,
            interruptions: interruptions_before(&self.record, header.delivery),
            retries: self.record.retries,
            alone: self.record.alone,
            started_at: chrono::Utc::now(),
            remote: Some(RemoteAttempt {
                engine: ENGINE.to_owned(),
                agent: Some(header.agent.as_str().to_owned()),
                delivery: header.delivery,
                element: None,
            }),
        };
        let most = self.hub.engine.max_deliver;
        if header.delivery > most && header.kind != Kind::Final {
            tracing::warn!(repository = %self.key, deliveries = most, "every agent that scanned a repository has died; it is given to no other");
            if let Some(session) = self.hub.session() {
                let order = RemoteOrder::new(header.attempt, Reason::End);
                session.order(&self.key, order).await.map_err(|error| error.to_string())?;
                self.has_order = true;
            }
            return Ok(Some(self.dead()));
        }
        tracing::info!(repository = %self.key, agent = %header.agent, attempt = header.attempt, delivery = header.delivery, "an agent has begun a scan");
        let turn = self.hub.log_turn(&self.repository.key);
        let _turn = turn.lock().await;
        let (repository, written) = (self.repository.clone(), record.clone());
        self.on_disk(move || repository.begin(&written)).await?;
        self.record = record;
        if matches!(self.work, Work::Unpublished(_)) {
            // It was stored, and the confirmation was lost.
            self.work = Work::Unknown;
        }
        // An order for the attempt before does not apply to this one.
        self.sent = None;
        (self.held, self.disobeyed, self.missing_since) = (Duration::ZERO, Duration::ZERO, None);
        Ok(None)
    }

    /// Fetches and stores what an attempt leaves that has ended.
    async fn finish(&mut self, report: &Arc<Report>) -> Result<ShimExit, String> {
        let session = self.hub.session().ok_or("NATS cannot be used")?;
        let limits = self.hub.setup.config.get().limits;
        let Some((files, large)) = self.fetch(&session, &report.header).await? else {
            tracing::warn!(repository = %self.key, agent = %report.header.agent, "NATS has lost the result of a scan; it is scanned again");
            return Ok(self.dead());
        };
        let turn = self.hub.log_turn(&self.repository.key);
        let _turn = turn.lock().await;
        let (repository, record) = (self.repository.clone(), self.record.clone());
        let (mut files, bytes) = (files, Arc::clone(report));
        let write = move || {
            let bytes = large.as_deref().unwrap_or(&bytes.bytes);
            repository.finish(&record, bytes, &mut files, limits.max_result_bytes)
        };
        self.on_disk(write).await?;
        Ok(exit_of(&report.header, self.record.clone()))
    }

    /// Runs work on the disk on the threads for it.
    async fn on_disk(
        &self,
        work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), String> {
        self.on(&self.hub.pool, work).await
    }

    async fn on(
        &self,
        pool: &Pool,
        work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), String> {
        match pool.run(work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(chain(&error)),
            Err(lost) => Err(chain(&lost)),
        }
    }

    /// Passes the order of the loop to the agents. Returns how the attempt ended if no agent has begun it.
    async fn send_order(&mut self) -> Option<ShimExit> {
        let (reason, at) = (*self.orders.borrow_and_update())?;
        if self.sent == Some(reason) {
            return None;
        }
        if matches!(self.work, Work::Unpublished(_)) {
            return Some(ShimExit::withdrawn(self.record.clone(), Some(reason)));
        }
        let session = self.hub.session()?;
        let order = RemoteOrder::new(self.record.attempt, reason.into());
        let ordered = session.order(&self.key, order).await;
        match &ordered {
            Ok(()) => (self.sent, self.has_order) = (Some(reason), true),
            Err(error) => {
                tracing::warn!(repository = %self.key, %error, "cannot order an agent to end a scan; retrying");
                self.hub.note_refusal(&error.to_string());
            }
        }
        if !self.has_begun() {
            return self.withdraw(&session, Some(reason)).await;
        }
        // Whoever cancels waits for NATS no longer than this: what the agent reports later no longer counts.
        let is_over = reason != OrderReason::Stop && at.elapsed() > self.hub.engine.ack_wait;
        (ordered.is_err() && is_over)
            .then(|| ShimExit::withdrawn(self.record.clone(), Some(reason)))
    }

    /// Withdraws the attempt: no agent gets it any more.
    async fn withdraw(&self, session: &Session, reason: Option<OrderReason>) -> Option<ShimExit> {
        if let Some(message) = self.message_in(session)
            && let Err(error) = session.remove_message(&self.key, &message).await
        {
            tracing::warn!(repository = %self.key, %error, "cannot withdraw a scan from the agents; retrying");
            return None;
        }
        Some(ShimExit::withdrawn(self.record.clone(), reason))
    }

    /// The message, as far as it is known.
    fn message_in(&self, session: &Session) -> Option<StoredMessage> {
        match self.work {
            Work::Published(message) => Some(message),
            _ => session.messages.get(&self.key).copied(),
        }
    }

    /// The attempt has died without reporting a cause.
    fn dead(&self) -> ShimExit {
        ShimExit { killed: None, ..ShimExit::withdrawn(self.record.clone(), None) }
    }
}

/// How the shim of a final report exited.
fn exit_of(header: &StatusHeader, record: AttemptRecord) -> ShimExit {
    let in_order = header.exit_code == Some(0);
    let ordered = match header.ordered {
        Some(Reason::Stop) => Some(OrderReason::Stop),
        Some(Reason::Yield) => Some(OrderReason::Yield),
        Some(Reason::Cancel | Reason::End) => Some(OrderReason::Cancel),
        None => None,
    };
    let cause = match header.killed {
        Some(status::Killed::Timeout(secs)) => Some(Cause::Timeout(secs)),
        Some(status::Killed::Order) => ordered.map(Cause::Order),
        None => None,
    };
    let killed = cause.map(|cause| Killed { cause, pid: 0, attempt: record.attempt });
    ShimExit {
        death: None,
        tree: if in_order { ProcessTree::Ended } else { ProcessTree::Swept },
        unwritten_end: header.exit_code.and_then(UnwrittenEnd::of_code),
        killed,
        known: Some(record),
        is_seen: true,
        pending_is_trusted: in_order || (ordered == Some(OrderReason::Stop) && killed.is_none()),
    }
}
