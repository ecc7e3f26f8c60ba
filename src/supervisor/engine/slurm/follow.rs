//! Follows one attempt that was given to Slurm, until it has ended.
//!
//! Input: the jobs that Slurm lists, the marks in the shared folder, orders of the loop. Output: how the attempt ended.
//!
//! Invariants: the mark of the shim decides, if there is one; otherwise the server writes the mark before the attempt counts as ended, so that a
//! shim that still lives ends itself; a job counts as lost only after Slurm has answered without a break, for long enough, that it
//! does not list the job; while Slurm is away, nothing is given up.

use super::{
    hub::{Hub, View},
    listing::{Job, Listing, State},
};
use crate::{
    model::{
        attempt::{AttemptRecord, Order, OrderReason},
        element::{ElementEnd, ElementName, EndMark},
    },
    pool::Lost,
    store::{StoreError, admission::ScanRegistration, attempt, chain, elements::Elements, trash},
    supervisor::{
        RepoKey,
        shim_exit::{Cause, ProcessTree, ShimExit},
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

/// How often an attempt is checked without news.
const TICK: Duration = Duration::from_secs(1);
/// How long the mark of a shim may take to become visible after Slurm has reported the end of its job.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a shim may take past the grace period of its scanner to obey an order; then its job is cancelled.
const MARGIN: Duration = Duration::from_mins(1);
/// The exit codes of a shim that claimed no attempt.
const CLAIMED_NOTHING: std::ops::RangeInclusive<u8> = 75..=77;

/// The last order to an attempt, and when it was given.
type LastOrder = Option<(OrderReason, Instant)>;

/// An attempt as the loop holds it.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Element {
    orders: Arc<watch::Sender<LastOrder>>,
    /// Its share of the disk space, for as long as the loop holds the attempt.
    #[expect(dead_code, reason = "held, not read")]
    registration: Arc<ScanRegistration>,
}

impl Element {
    pub(super) fn new(registration: Arc<ScanRegistration>) -> Self {
        Self { orders: Arc::new(watch::Sender::new(None)), registration }
    }

    /// Orders the attempt to end.
    pub(in crate::supervisor) fn order(&self, reason: OrderReason) {
        self.orders.send_replace(Some((reason, Instant::now())));
    }
}

/// Follows one attempt.
pub(super) struct Follower {
    hub: Arc<Hub>,
    key: RepoKey,
    name: ElementName,
    record: AttemptRecord,
    view: watch::Receiver<View>,
    orders: watch::Receiver<LastOrder>,
    /// Keeps the orders open as long as they are waited for.
    #[expect(dead_code, reason = "held, not read")]
    element: Element,
    /// The order that the shim can read.
    sent: Option<OrderReason>,
    /// Answers to questions before this time say nothing about the attempt.
    since: Instant,
    missing_since: Option<Instant>,
    ended_since: Option<Instant>,
    /// The mark of a shim that Slurm has ended; Slurm knows why.
    terminated: Option<u8>,
}

impl Follower {
    pub(super) fn new(
        hub: &Arc<Hub>,
        (key, name): (RepoKey, ElementName),
        record: AttemptRecord,
        element: Element,
    ) -> Self {
        Self {
            hub: Arc::clone(hub),
            key,
            name,
            record,
            view: hub.view.subscribe(),
            orders: element.orders.subscribe(),
            element,
            sent: None,
            since: Instant::now(),
            missing_since: None,
            ended_since: None,
            terminated: None,
        }
    }

    /// Returns when the attempt has ended.
    pub(super) async fn run(mut self) -> ShimExit {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.view.mark_changed();
        self.orders.mark_changed();
        if !self.hub.is_active && self.withdraw().await {
            self.hub.cancel(&self.name);
            return self.leave(ShimExit::withdrawn(self.record.clone(), None));
        }
        loop {
            tokio::select! {
                Ok(()) = self.orders.changed() => {}
                Ok(()) = self.view.changed() => {}
                _ = ticks.tick() => {}
            }
            match self.check().await {
                Ok(Some(ended)) => {
                    self.clean_up().await;
                    return self.leave(ended);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(repository = %self.key, error, "cannot follow a scan in Slurm; retrying");
                }
            }
        }
    }

    fn leave(&self, ended: ShimExit) -> ShimExit {
        self.hub.leave(&self.name);
        ended
    }

    /// Checks everything once. Returns how the attempt ended, if it has.
    async fn check(&mut self) -> Result<Option<ShimExit>, String> {
        let View { listing, ended } = self.view.borrow_and_update().clone();
        if self.terminated.is_none()
            && ended.contains(&self.name)
            && let Some(exit) = self.take_mark().await?
        {
            return Ok(Some(exit));
        }
        if let Some(exit) = self.send_order().await? {
            return Ok(Some(exit));
        }
        let listing = listing.filter(|listing| listing.asked_at >= self.since);
        let Some(listing) = listing else { return Ok(None) };
        match listing.jobs.get(&self.name) {
            Some(job) => {
                self.missing_since = None;
                self.check_job(job).await
            }
            None if self.is_lost(&listing) => {
                let text = "Slurm no longer lists the job of the scan".to_owned();
                self.conclude((ElementEnd::Lost, text)).await
            }
            None => Ok(None),
        }
    }

    /// Whether Slurm has not listed the job for long enough.
    fn is_lost(&mut self, listing: &Listing) -> bool {
        let first = *self.missing_since.get_or_insert(listing.asked_at);
        // Before a break, an answer may have been that of another slurmctld.
        let since = first.max(listing.unbroken_since);
        listing.asked_at.saturating_duration_since(since) >= self.hub.config.lost_after
    }

    async fn check_job(&mut self, job: &Job) -> Result<Option<ShimExit>, String> {
        if let Some(end) = job.end() {
            let since = *self.ended_since.get_or_insert_with(Instant::now);
            if since.elapsed() < SETTLE && self.terminated.is_none() {
                return Ok(None);
            }
            return self.conclude(end).await;
        }
        self.ended_since = None;
        if job.state == State::Runs
            && self.record.remote.as_ref().is_some_and(|r| r.agent.is_none())
        {
            // For the log alone: the shim writes its own record.
            let node = Some(job.node.clone()).filter(|node| !node.is_empty());
            if let Some(remote) = self.record.remote.as_mut().filter(|_| node.is_some()) {
                tracing::info!(repository = %self.key, node, job = job.id, "a node runs a scan");
                remote.agent = node;
            }
        }
        Ok(None)
    }

    /// The job of the attempt has ended for this cause, or is lost.
    async fn conclude(
        &mut self,
        (cause, death): (ElementEnd, String),
    ) -> Result<Option<ShimExit>, String> {
        if let Some(code) = self.terminated {
            return Ok(Some(self.exit_of(code, Some(cause))));
        }
        // The shim may have reported meanwhile.
        if let Some(exit) = self.take_mark().await? {
            return Ok(Some(exit));
        }
        if self.terminated.is_some() {
            return Ok(None);
        }
        let never_begun = self.withdraw().await || !self.was_claimed().await?;
        // A job that Slurm has forgotten, and that was never begun, is no death.
        let is_forgotten = cause == ElementEnd::Lost && self.missing_since.is_some();
        if never_begun && is_forgotten {
            let ordered = self.ordered();
            return Ok(Some(ShimExit::withdrawn(self.record.clone(), ordered)));
        }
        let mark = EndMark {
            schema: 1,
            code: None,
            terminated: false,
            cause: Some(cause),
            detail: death.clone(),
        };
        let name = self.name.clone();
        let is_first = self.on_disk(move |elements| {
            elements
                .end(&name, &mark)
                .map_err(StoreError::at("write an end mark in", elements.folder()))
        });
        if !is_first.await? {
            return self.take_mark().await;
        }
        Ok(Some(self.ended_by(cause, death)))
    }

    fn ordered(&self) -> Option<OrderReason> {
        self.orders.borrow().map(|(reason, _)| reason)
    }

    /// How an attempt ended whose shim has reported nothing.
    fn ended_by(&self, cause: ElementEnd, death: String) -> ShimExit {
        let record = self.record.clone();
        if let Some(reason) = self.ordered()
            && matches!(cause, ElementEnd::Cancelled | ElementEnd::Lost)
        {
            return ShimExit::of_element(record, Cause::Order(reason), None);
        }
        let death = Some(death).filter(|_| cause == ElementEnd::Lost);
        tracing::warn!(repository = %self.key, ?cause, death, "Slurm ended the job of a scan");
        ShimExit::of_element(record, Cause::Slurm(cause), death)
    }

    /// Reads the end mark. Returns how the attempt ended, unless only Slurm knows why.
    async fn take_mark(&mut self) -> Result<Option<ShimExit>, String> {
        let name = self.name.clone();
        let Some(mark) = self.on_disk(move |elements| elements.end_of(&name)).await? else {
            return Ok(None);
        };
        if let Some(cause) = mark.cause {
            return Ok(Some(self.ended_by(cause, mark.detail)));
        }
        let code = mark.code.unwrap_or(u8::MAX);
        if mark.terminated && self.ordered().is_none() {
            self.terminated = Some(code);
            self.ended_since = None;
            return Ok(None);
        }
        Ok(Some(self.exit_of(code, None)))
    }

    /// How a shim exited that has reported its exit code.
    fn exit_of(&self, code: u8, by_slurm: Option<ElementEnd>) -> ShimExit {
        let record = self.record.clone();
        if CLAIMED_NOTHING.contains(&code) {
            if let Some(reason) = self.ordered() {
                return ShimExit::withdrawn(record, Some(reason));
            }
            let node = record.remote.as_ref().and_then(|remote| remote.agent.as_deref());
            let node = node.unwrap_or("of Slurm");
            let death =
                format!("The scan could not begin on node {node} (exit code {code} of its shim)");
            return ShimExit::of_element(record, Cause::Slurm(ElementEnd::Lost), Some(death));
        }
        match by_slurm {
            Some(cause) if cause != ElementEnd::Lost => self.ended_by(cause, String::new()),
            _ => {
                let exit = ShimExit::of(Some(code.into()), self.ordered(), None, Some(record));
                // No process of it is on this machine.
                let tree = if code == 0 { ProcessTree::Ended } else { ProcessTree::Swept };
                ShimExit { tree, ..exit }
            }
        }
    }

    /// Passes the order of the loop to the attempt. Returns how it ended if it had not begun.
    async fn send_order(&mut self) -> Result<Option<ShimExit>, String> {
        let Some((reason, at)) = *self.orders.borrow_and_update() else { return Ok(None) };
        if self.sent == Some(reason) {
            let grace = self.hub.setup.config.get().scanner.kill_grace_secs;
            if at.elapsed() >= Duration::from_secs(grace) + MARGIN {
                self.hub.cancel(&self.name);
            }
            return Ok(None);
        }
        if self.withdraw().await {
            self.hub.cancel(&self.name);
            return Ok(Some(ShimExit::withdrawn(self.record.clone(), Some(reason))));
        }
        let folder = self.hub.setup.jobs.job(&self.key.job);
        let (index, order) = (self.key.index, Order { attempt: self.record.attempt, reason });
        self.on_disk(move |_| attempt::write_order(&folder, index, &order)).await?;
        self.sent = Some(reason);
        Ok(None)
    }

    /// Withdraws the task. Returns whether no element can run it.
    async fn withdraw(&self) -> bool {
        let name = self.name.clone();
        self.on_disk(move |elements| elements.withdraw(&name)).await.unwrap_or(false)
    }

    async fn was_claimed(&self) -> Result<bool, String> {
        let name = self.name.clone();
        self.on_disk(move |elements| Ok(elements.is_under_way(&name))).await
    }

    /// Removes what a dead shim has left, and an order that nobody will read.
    async fn clean_up(&self) {
        let (folder, key, attempt) =
            (self.hub.setup.jobs.job(&self.key.job), self.key.clone(), self.record.attempt);
        let removed = self.on_disk(move |_| {
            let scratch = trash::scratch(&folder, &key.job, key.index, attempt);
            let reserves = trash::reserves(&folder, &key.job, key.index, attempt);
            trash::remove_scratch(&scratch)
                .and(trash::remove_reserves(&reserves))
                .and(attempt::remove_order(&folder, key.index))
        });
        if let Err(error) = removed.await {
            tracing::warn!(repository = %self.key, error, "cannot remove all files of a scan in Slurm");
        }
    }

    /// Runs work on the shared folder on the threads for it.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Elements) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, String> {
        let elements = self.hub.elements.clone();
        let done = self.hub.pool.run(move || work(&elements)).await;
        done.map_err(|lost: Lost| chain(&lost))?.map_err(|error| chain(&error))
    }
}
