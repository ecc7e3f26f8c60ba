//! Enforces the limits of a scan where its shim does not: one that is stopped (a scanner may send
//! it SIGSTOP), that hangs in a call of the kernel, or that ignores an order to end.
//!
//! Input: when a shim began, the orders it was given, and what /proc says of its process. Output:
//! SIGKILL to the shim, and the reason, which becomes the final state of the attempt; what of the
//! scan is left is ended where the attempt is settled. While a shim is stopped, /health names it.
//!
//! Invariants: a shim that runs always has time enough to end its scan by itself; time in which
//! this server was stopped counts for nothing; a slot is free again whatever a shim does.

use super::{
    RepoKey,
    ended::Ended,
    handle::Supervisor,
    spawn::{Awaited, Shim},
};
use crate::{
    model::{Failure, FailureKind, RepoState, attempt::OrderReason},
    sys,
};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often a living shim is checked.
const INTERVAL: Duration = Duration::from_millis(500);
/// For how long a shim is stopped before /health says so; past its limit, before it is killed.
const STOPPED: Duration = Duration::from_secs(2);
/// What a shim may take in all, past its limit and the grace of its scanner: to end the tree (10 s),
/// and to write the final state on a disk that is full (30 s) or slow.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a process may take to be gone after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Why the server has killed a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It ran past the deadline, of so many seconds.
    Timeout(u64),
    /// It did not obey.
    Order(OrderReason),
}

impl Cause {
    /// The state in which the attempt ends, and why; no state if it is to be scanned again.
    pub(super) fn verdict(self) -> (Option<RepoState>, Failure) {
        const HOW: &str = "its shim did not react, so the server ended both";
        match self {
            Self::Timeout(secs) => {
                let detail = format!("Process killed after {secs} seconds timeout; {HOW}");
                (Some(RepoState::TimedOut), Failure::new(FailureKind::Timeout, detail))
            }
            Self::Order(OrderReason::Cancel) => {
                let detail = format!("Cancelled on request; {HOW}");
                (Some(RepoState::Cancelled), Failure::new(FailureKind::Cancelled, detail))
            }
            Self::Order(OrderReason::Stop) => {
                let detail = format!("Stopped together with the server; {HOW}");
                (None, Failure::new(FailureKind::Interrupted, detail))
            }
            Self::Order(OrderReason::Yield) => {
                let detail = format!("Its slot went to another job; {HOW}");
                (None, Failure::new(FailureKind::Interrupted, detail))
            }
        }
    }
}

/// A killing, and whom it hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Killed {
    pub(super) cause: Cause,
    /// The shim; in a call that cannot be interrupted it may outlast SIGKILL.
    pub(super) pid: u32,
    pub(super) attempt: u64,
}

/// The order that a shim was given last, if any, and when; shared with whoever waits for its end.
pub(super) type Given = Arc<Mutex<Option<(OrderReason, Instant)>>>;

/// How long a shim has been past its limit, as this server saw it.
#[derive(Debug, Clone, Copy)]
struct Clock {
    seen: Instant,
    stopped: Duration,
    overdue: Duration,
}

impl Clock {
    fn new(now: Instant) -> Self {
        Self { seen: now, stopped: Duration::ZERO, overdue: Duration::ZERO }
    }

    /// Takes in a check. Says whether the shim, whose limit is `limit`, has to be killed.
    fn check(&mut self, now: Instant, limit: Instant, stopped: bool, grace: Duration) -> bool {
        // Of a time in which nothing was checked, the server itself may have been stopped, and the
        // shim with it.
        let passed = now.saturating_duration_since(self.seen).min(2 * INTERVAL);
        self.seen = now;
        self.stopped = if stopped { self.stopped + passed } else { Duration::ZERO };
        if now < limit {
            self.overdue = Duration::ZERO;
            return false;
        }
        self.overdue += passed;
        let still = self.stopped.min(self.overdue) >= STOPPED;
        still || self.overdue >= grace + MARGIN
    }
}

/// Watches one shim until it is gone.
pub(super) struct Overseer {
    key: RepoKey,
    shim: Shim,
    timeout: Duration,
    grace: Duration,
    clock: Clock,
    killed: Option<(Killed, Instant)>,
    handle: Supervisor,
}

impl Overseer {
    pub(super) fn new(
        key: RepoKey,
        shim: Shim,
        (timeout_secs, grace_secs): (u64, u64),
        handle: Supervisor,
    ) -> Self {
        Self {
            key,
            shim,
            timeout: Duration::from_secs(timeout_secs),
            grace: Duration::from_secs(grace_secs),
            clock: Clock::new(Instant::now()),
            killed: None,
            handle,
        }
    }

    /// Returns when the shim is gone, or when nothing more can be done for that.
    pub(super) async fn wait(mut self, awaited: Awaited) -> Ended {
        let gone = awaited.end();
        tokio::pin!(gone);
        let code = loop {
            tokio::select! {
                code = &mut gone => break code,
                () = sleep(INTERVAL) => {
                    if self.check() {
                        break None;
                    }
                }
            }
        };
        self.handle.scans().standstills().over(&self.key);
        let ordered = self.order().map(|(reason, _)| reason);
        Ended::of(code, ordered, self.killed.map(|(killed, _)| killed), self.shim.known.clone())
    }

    /// Checks the shim once. Says whether it is given up: it was killed, and is not gone.
    fn check(&mut self) -> bool {
        let now = Instant::now();
        let (key, pid) = (&self.key, self.shim.pid);
        if let Some((_, at)) = self.killed {
            let given_up = now.saturating_duration_since(at) >= KILL_PATIENCE;
            if given_up {
                tracing::error!(repository = %key, pid, "a shim does not end by SIGKILL: it hangs in a call of the kernel; its slot is free again");
            }
            return given_up;
        }
        // A number of a process that is gone may be another's; then this task is about to hear it.
        let is_stopped = sys::is_stopped(pid) && !is_gone(&self.shim.process);
        let (limit, cause) = self.limit();
        let grace = self.grace;
        let kill = self.clock.check(now, limit, is_stopped, grace);
        let standstills = self.handle.scans().standstills();
        if self.clock.stopped >= STOPPED {
            standstills.note(key, pid);
        } else {
            standstills.over(key);
        }
        if kill {
            tracing::warn!(repository = %key, pid, stopped = is_stopped, ?cause, "the shim of a scan does not react; it is killed");
            let killed = Killed { cause, pid, attempt: self.shim.attempt };
            self.killed = Some((killed, now));
            if let Err(error) = sys::end_process(&*self.shim.process, sys::Ending::Force) {
                tracing::error!(repository = %key, pid, %error, "cannot kill a shim");
            }
        }
        false
    }

    /// The moment at which the shim must begin to end its scan, and why.
    fn limit(&self) -> (Instant, Cause) {
        let deadline = self.shim.began + self.timeout;
        match self.order() {
            Some((reason, at)) if at < deadline => (at, Cause::Order(reason)),
            _ => (deadline, Cause::Timeout(self.timeout.as_secs())),
        }
    }

    fn order(&self) -> Option<(OrderReason, Instant)> {
        *self.shim.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_gone(process: &OwnedFd) -> bool {
    sys::wait_readable([process.as_fd()], Duration::ZERO).is_ok_and(|[gone]| gone)
}

/// The shims that are stopped now, for whoever asks how the service is.
#[derive(Debug, Default)]
pub struct Standstills {
    shims: Mutex<BTreeMap<RepoKey, u32>>,
}

impl Standstills {
    fn note(&self, key: &RepoKey, pid: u32) {
        let mut shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        if shims.insert(key.clone(), pid).is_none() {
            tracing::warn!(repository = %key, pid, "the shim of a scan is stopped; the server keeps its limits meanwhile");
        }
    }

    fn over(&self, key: &RepoKey) {
        let mut shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        if shims.remove(key).is_some() {
            tracing::info!(repository = %key, "the shim of a scan is stopped no more");
        }
    }

    /// What is wrong, in words for /health.
    pub fn problem(&self) -> Option<String> {
        let shims = self.shims.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, pid) = shims.first_key_value()?;
        let count = shims.len();
        Some(format!(
            "{count} scans stand still: their shims are stopped, as by SIGSTOP, first {key} (process \
             {pid}); the server ends each at its deadline; resume with `kill -CONT {pid}`, or cancel"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// How long after its limit a shim is killed that is checked at this interval.
    fn killed_after(every: Duration, stopped: impl Fn(Duration) -> bool) -> Option<Duration> {
        let begin = Instant::now();
        let limit = begin + Duration::from_secs(100);
        let mut clock = Clock::new(begin);
        let mut now = begin;
        while now < limit + Duration::from_hours(1) {
            now += every;
            if clock.check(now, limit, stopped(now - begin), GRACE) {
                return Some(now - limit);
            }
        }
        None
    }

    #[test]
    fn a_shim_that_is_stopped_is_killed_soon_and_one_that_runs_has_its_time() {
        let stopped = killed_after(INTERVAL, |_| true).unwrap();
        let about = |it: Duration, expected: Duration| {
            assert!(it + INTERVAL >= expected && it <= expected + INTERVAL, "{it:?} {expected:?}");
        };
        about(stopped, STOPPED);
        // Stopped before its limit only: it is about to react.
        let before = killed_after(INTERVAL, |at| at < Duration::from_secs(100)).unwrap();
        let running = killed_after(INTERVAL, |_| false).unwrap();
        about(before, GRACE + MARGIN);
        about(running, GRACE + MARGIN);
        // Resumed again and again, as by a scanner that plays with it: it ends all the same.
        let played = killed_after(INTERVAL, |at| at.as_secs() % 2 == 0).unwrap();
        assert!(played <= running, "{played:?}");
    }

    /// Breaks if a server that was stopped for an hour together with its shims kills them all when
    /// they go on, before they can react.
    #[test]
    fn time_in_which_nothing_was_checked_is_not_counted() {
        let begin = Instant::now();
        let mut clock = Clock::new(begin);
        let after = begin + Duration::from_hours(1);
        assert!(!clock.check(after, begin + GRACE, true, GRACE));
        assert!(!clock.check(after + INTERVAL, begin + GRACE, false, GRACE));
    }

    #[test]
    fn what_was_killed_has_its_reason() {
        let of = |cause: Cause| {
            let (state, failure) = cause.verdict();
            (state, failure.kind)
        };
        assert_eq!(of(Cause::Timeout(7)), (Some(RepoState::TimedOut), FailureKind::Timeout));
        let cancel = Cause::Order(OrderReason::Cancel);
        assert_eq!(of(cancel), (Some(RepoState::Cancelled), FailureKind::Cancelled));
        assert_eq!(of(Cause::Order(OrderReason::Stop)), (None, FailureKind::Interrupted));
    }
}
