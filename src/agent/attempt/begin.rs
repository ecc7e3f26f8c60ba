//! The begin of an attempt: from here on earlier ones no longer count.
//!
//! Input: an attempt that has its place and its lease. Output: a running shim, or what becomes of the message instead.
//!
//! Invariants: an attempt is listed in a heartbeat before its begin is stored, and its begin is stored before anything
//! runs; the order is read after that, so that none is missed.

use super::{Attempt, NOT_HERE, Outcome, PAUSE};
use crate::{
    agent::{
        bus::BusError,
        credentials::{self, Denied},
        holders::{Decision, decide},
        orders,
        shared::{Ticket, repo_key},
        task,
    },
    model::task::ShimTask,
    store::chain,
    supervisor::{LocalAttempt, LocalEnding},
    wire::{heartbeat::interval, order::Reason, status::Kind},
};
use std::time::Duration;
use tokio::{task::spawn_blocking, time::sleep};

/// The maximum pause between two checks of earlier holders: their death is noticed so much later.
const MOST_PAUSE: Duration = Duration::from_millis(100);

impl Attempt {
    /// Begins the attempt: from here on earlier ones no longer count. Returns the task of its shim.
    pub(super) async fn prepare(&self) -> Result<ShimTask, Outcome> {
        let (shared, entry) = (&self.shared, self.entry());
        if self.delivery > 1 {
            self.wait_for_holders().await?;
        }
        orders::check(shared, entry).await;
        self.heed_end()?;
        self.take_ticket().await?;
        retry("store a heartbeat", || shared.beats.beat()).await;
        let header = self.header(Kind::Began);
        retry("store the begin of an attempt", || shared.bus.put_status(&entry.key, &header, b""))
            .await;
        orders::check(shared, entry).await;
        self.heed_end()?;
        let credentials = if self.message.needs_credentials {
            let mut ended = entry.orders();
            let answered = tokio::select! {
                answered = credentials::request(shared, entry) => answered,
                // Without credentials it cannot begin; an order ends the wait.
                () = async { let _ = ended.wait_for(Option::is_some).await; } => {
                    self.heed_end()?;
                    Ok(None)
                }
            };
            match answered {
                Ok(credentials) => credentials,
                Err(Denied::Outdated) => return Err(Outcome::Lost),
                Err(Denied::NotEnrolled) => return Err(Outcome::HandBack(Some(NOT_HERE))),
            }
        } else {
            None
        };
        entry.mask(credentials.as_ref());
        Ok(task::of(shared, &self.message, entry.attempt, credentials))
    }

    /// Starts the shim.
    pub(super) async fn start(
        &self,
        task: ShimTask,
    ) -> Result<(LocalAttempt, LocalEnding), Outcome> {
        let (shared, entry) = (&self.shared, self.entry());
        let (attempts, key) = (shared.attempts.clone(), repo_key(&entry.key));
        let started = spawn_blocking(move || attempts.start(&key, &task)).await;
        let problem = match started {
            Ok(Ok(Some(local))) => return Ok(local),
            Ok(Ok(None)) => "the disk has no room for another scan".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        tracing::warn!(repository = %entry.key, problem, "cannot start a scan here; other agents get it");
        Err(Outcome::HandBack(Some(NOT_HERE)))
    }

    /// An order that the attempt no longer counts: nothing is stored, and the message is no longer needed.
    fn heed_end(&self) -> Result<(), Outcome> {
        match self.entry().order() {
            Some(Reason::End) => Err(Outcome::Settled),
            _ => Ok(()),
        }
    }

    /// Waits until no earlier holder of the message may live.
    async fn wait_for_holders(&self) -> Result<(), Outcome> {
        let (entry, message) = (self.entry(), &self.message);
        let ack_wait = Duration::from_secs(message.ack_wait_secs);
        let pause = (interval(ack_wait) / 4).min(MOST_PAUSE);
        let mut is_noted = false;
        loop {
            let held = self.shared.beats.held(&entry.key, entry.attempt, ack_wait).await;
            match held.map(|held| decide(entry.attempt, message.first_attempt, &held)) {
                Ok(Decision::Begin) => return Ok(()),
                Ok(Decision::Finished) => return Err(Outcome::Settled),
                Ok(Decision::Outdated) => return Err(Outcome::Lost),
                Ok(Decision::Wait) => {
                    if !std::mem::replace(&mut is_noted, true) {
                        tracing::info!(repository = %entry.key, attempt = entry.attempt, "an earlier attempt may still run on another agent; waiting until that agent is silent or has finished");
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot read who holds a repository"),
            }
            sleep(pause).await;
            self.heed_end()?;
        }
    }

    async fn take_ticket(&self) -> Result<(), Outcome> {
        let entry = self.entry();
        let mut ticket = Ticket {
            schema: 1,
            message: self.message.clone(),
            attempt: entry.attempt,
            delivery: self.delivery,
            reply: entry.reply(),
            boot: self.shared.boot.clone(),
            confirmed_ms: 0,
        };
        ticket.confirm(self.keeper.confirmed());
        match self.shared.take(ticket.clone()).await {
            Ok(()) => {
                self.keeper.keep_ticket(ticket);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(repository = %entry.key, error = chain(&error), "cannot make the folder of an attempt; other agents get it");
                Err(Outcome::HandBack(Some(NOT_HERE)))
            }
        }
    }
}

/// Repeats an action until NATS has confirmed it. The caller ends the wait if the attempt is lost.
async fn retry<F: Future<Output = Result<(), BusError>>>(what: &str, action: impl Fn() -> F) {
    let mut is_noted = false;
    while let Err(error) = action().await {
        if !std::mem::replace(&mut is_noted, true) {
            tracing::warn!(%error, "cannot {what}; trying again");
        }
        sleep(PAUSE).await;
    }
}
