//! The regular checks of an attempt that was given to the agents.
//!
//! Input: the time, the roster of agents, the stream. Output: how an attempt ended that nobody will report, if it has.
//!
//! Invariants: time during which this server or NATS was away does not count; what an agent still holds is ended only past
//! its limits.

use super::{Follower, LastOrder, TICK, Work};
use crate::{
    model::attempt::OrderReason,
    supervisor::{
        engine::nats::{error::NatsError, hub::read_status, session::Session},
        shim_exit::{Cause, Killed, ShimExit},
    },
    wire::order::{Reason, RemoteOrder},
};
use std::time::{Duration, Instant};

/// Every how many checks an attempt that no agent holds is looked up in the stream.
const TICKS_OF_LOOK_UP: u32 = 5;
/// How long a message may be gone while no agent holds its attempt: its final state may be on its way.
const MISSING_PATIENCE: Duration = Duration::from_secs(5);

impl Follower {
    /// Checks limits and orders, and whether the attempt still exists.
    pub(super) async fn check(&mut self) -> Option<ShimExit> {
        let now = Instant::now();
        // A gap between two checks means that this server was stopped.
        let passed = now.saturating_duration_since(self.checked_at).min(2 * TICK);
        self.checked_at = now;
        self.ticks = self.ticks.wrapping_add(1);
        if self.is_pending {
            if let Some(ended) = self.take_report().await {
                return Some(ended);
            }
            if self.is_pending && self.is_folder_gone().await {
                return self.abandon().await;
            }
        }
        let ordered = *self.orders.borrow();
        let ordered = ordered.filter(|(reason, _)| *reason != OrderReason::Stop);
        let Some(session) = self.hub.session() else {
            // Whoever cancels does not wait for NATS: what the agent reports later no longer counts.
            let (reason, at) = ordered?;
            let is_over = now.saturating_duration_since(at) > self.hub.engine.ack_wait;
            return is_over.then(|| ShimExit::withdrawn(self.record.clone(), Some(reason)));
        };
        self.publish(&session).await;
        if matches!(self.work, Work::Unpublished(_)) {
            return None;
        }
        if ordered.is_some_and(|(reason, _)| self.sent != Some(reason)) {
            return self.send_order().await;
        }
        let agent = self.agent();
        let (is_held, silence) = {
            let roster = self.hub.roster();
            let is_held = agent.as_ref().is_some_and(|agent| {
                roster.lives(agent, now) && roster.runs(agent, &self.key, self.record.attempt)
            });
            let silence =
                agent.as_ref().map(|agent| roster.silence(agent, now).unwrap_or_default());
            (is_held, silence)
        };
        if is_held {
            self.missing_since = None;
            return self.check_limits(&session, passed, ordered).await;
        }
        let ack_wait = self.hub.engine.ack_wait;
        if let Some((reason, _)) = ordered
            && silence.is_none_or(|silence| silence > ack_wait)
        {
            return self.withdraw(&session, Some(reason)).await;
        }
        if silence.is_some_and(|silence| silence > self.hub.silence_of_the_dead())
            && self.hub.has_agents_for(&self.repository.git_url)
        {
            tracing::warn!(repository = %self.key, attempt = self.record.attempt, "the agent of a scan is silent, and NATS does not give the scan to another one; it is queued again");
            return self.withdraw(&session, None).await.map(|_| self.dead());
        }
        if self.ticks.is_multiple_of(TICKS_OF_LOOK_UP) {
            return self.look_up(&session, now).await;
        }
        None
    }

    /// Publishes the message of an attempt that is not stored yet.
    async fn publish(&mut self, session: &Session) {
        let Work::Unpublished(unpublished) = &self.work else { return };
        let (label, message) = &**unpublished;
        match session.publish(label, message).await {
            Ok(published) => {
                self.work = Work::Published(published);
                self.hub.forget_refusal();
            }
            Err(error) => self.hub.note_refusal(&error.to_string()),
        }
    }

    /// Whether the folder of the job was removed.
    async fn is_folder_gone(&self) -> bool {
        let path = self.repository.folder.path().to_owned();
        let is_gone = move || path.try_exists().is_ok_and(|exists| !exists);
        self.hub.pool.run(is_gone).await.unwrap_or(false)
    }

    /// Ends an attempt that has nowhere to be stored any more.
    async fn abandon(&mut self) -> Option<ShimExit> {
        if let Some(session) = self.hub.session() {
            let order = RemoteOrder::new(self.record.attempt, Reason::End);
            self.has_order |= session.order(&self.key, order).await.is_ok();
            return self.withdraw(&session, Some(OrderReason::Cancel)).await;
        }
        Some(ShimExit::withdrawn(self.record.clone(), Some(OrderReason::Cancel)))
    }

    /// Ends an attempt that its agent does not end in time.
    async fn check_limits(
        &mut self,
        session: &Session,
        passed: Duration,
        ordered: LastOrder,
    ) -> Option<ShimExit> {
        self.held += passed;
        if ordered.is_some() {
            self.disobeyed += passed;
        }
        let cause = match ordered {
            Some((reason, _)) if self.disobeyed >= self.limits.1 => Cause::Order(reason),
            _ if self.held >= self.limits.0 => Cause::Timeout(self.timeout_secs),
            _ => return None,
        };
        tracing::warn!(repository = %self.key, ?cause, "an agent does not end a scan in time; what it reports of it no longer counts");
        let order = RemoteOrder::new(self.record.attempt, Reason::End);
        if let Err(error) = session.order(&self.key, order).await {
            tracing::warn!(repository = %self.key, %error, "cannot order an agent to end a scan; retrying");
            return None;
        }
        self.has_order = true;
        self.withdraw(session, None).await?;
        let killed = Killed { cause, pid: 0, attempt: self.record.attempt };
        Some(ShimExit { killed: Some(killed), ..ShimExit::withdrawn(self.record.clone(), None) })
    }

    /// Reads what is stored about the repository, in case the watch does not deliver it.
    async fn read_statuses(&self, session: &Session) -> Result<(), NatsError> {
        for (name, value, revision) in session.statuses_of(&self.key).await? {
            if let Ok((key, header, bytes)) = read_status(&name, &value) {
                let _ = self.hub.route(&key, (header, revision), bytes);
            }
        }
        Ok(())
    }

    /// Looks for the message of an attempt that no agent holds. Returns how the attempt ended if there is none.
    async fn look_up(&mut self, session: &Session, now: Instant) -> Option<ShimExit> {
        let exists = match self.message_in(session) {
            Some(message) => session.has_message(&self.key, &message).await,
            None => Ok(false),
        };
        // Its final state may be stored, and not have arrived here.
        if exists == Ok(false) && self.read_statuses(session).await.is_err() {
            return None;
        }
        if self.inbox.has_changed().unwrap_or(false) {
            return None;
        }
        match exists {
            Ok(true) | Err(_) => {
                self.missing_since = None;
                None
            }
            Ok(false) => {
                let since = *self.missing_since.get_or_insert(now);
                if now.saturating_duration_since(since) < MISSING_PATIENCE {
                    return None;
                }
                tracing::warn!(repository = %self.key, attempt = self.record.attempt, "no agent holds a scan, and its message is gone; the scan is queued again");
                Some(if self.has_begun() {
                    self.dead()
                } else {
                    ShimExit::withdrawn(self.record.clone(), None)
                })
            }
        }
    }
}
