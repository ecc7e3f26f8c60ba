//! A watchdog that enforces the limits of a scan where its shim does not: the shim is stopped (a
//! scanner may send it SIGSTOP), hangs in a system call, or ignores an order.
//!
//! Input: when a shim began, the orders it was given, and its process state in /proc. Output:
//! SIGKILL to the shim, and the cause, which becomes the final state of the attempt. Whoever
//! finalizes the attempt ends the rest of the scan. While a shim is stopped, /health names it.
//!
//! Invariants: a running shim always has enough time to end its scan itself; time during which this
//! server was stopped does not count; a slot becomes free whatever a shim does.

use super::shim::{Awaited, Shim};
use crate::{
    model::attempt::OrderReason,
    supervisor::{
        RepoKey,
        shim_exit::{Cause, Killed, ShimExit},
        stopped_shims::StoppedShims,
    },
    sys,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often a running shim is checked.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long a shim must be stopped before /health reports it; past its limit, before it is killed.
const STOPPED: Duration = Duration::from_secs(2);
/// How long a shim may take past its limit and its scanner's grace period: to end the process tree
/// (10 s), and to write the final state on a full (30 s) or slow disk.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a process may take to exit after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How long a shim has been past its limit, as observed by this server.
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

    /// Takes in a check. Returns whether the shim must be killed.
    fn check(&mut self, now: Instant, limit: Instant, stopped: bool, grace: Duration) -> bool {
        // A gap between two checks means that the server itself may have been stopped, together
        // with the shim.
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

/// Watches one shim until it has exited.
pub(super) struct Watchdog {
    key: RepoKey,
    shim: Shim,
    timeout: Duration,
    grace: Duration,
    clock: Clock,
    killed: Option<(Killed, Instant)>,
    stopped_shims: Arc<StoppedShims>,
}

impl Watchdog {
    pub(super) fn new(
        key: RepoKey,
        shim: Shim,
        (timeout_secs, grace_secs): (u64, u64),
        stopped_shims: Arc<StoppedShims>,
    ) -> Self {
        Self {
            key,
            shim,
            timeout: Duration::from_secs(timeout_secs),
            grace: Duration::from_secs(grace_secs),
            clock: Clock::new(Instant::now()),
            killed: None,
            stopped_shims,
        }
    }

    /// Returns when the shim has exited, or when it survived SIGKILL for too long.
    pub(super) async fn wait(mut self, awaited: Awaited) -> ShimExit {
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
        self.stopped_shims.clear(&self.key);
        let ordered = self.order().map(|(reason, _)| reason);
        ShimExit::of(code, ordered, self.killed.map(|(killed, _)| killed), self.shim.known.clone())
    }

    /// Checks the shim once. Returns whether the watchdog gives up: the shim was killed and has not
    /// exited.
    fn check(&mut self) -> bool {
        let now = Instant::now();
        let (key, pid) = (&self.key, self.shim.pid);
        if let Some((_, at)) = self.killed {
            let given_up = now.saturating_duration_since(at) >= KILL_PATIENCE;
            if given_up {
                tracing::error!(repository = %key, pid, "a shim survived SIGKILL because it hangs in a system call; its slot is free again");
            }
            return given_up;
        }
        // The pid of an exited process may be reused; the exit is about to be reported then.
        let is_stopped = sys::is_stopped(pid) && !is_gone(&self.shim.process);
        let (limit, cause) = self.limit();
        let grace = self.grace;
        let kill = self.clock.check(now, limit, is_stopped, grace);
        if self.clock.stopped >= STOPPED {
            self.stopped_shims.note(key, pid);
        } else {
            self.stopped_shims.clear(key);
        }
        if kill {
            tracing::warn!(repository = %key, pid, stopped = is_stopped, ?cause, "the shim of a scan does not respond to its limit or order; killing it");
            let killed = Killed { cause, pid, attempt: self.shim.attempt };
            self.killed = Some((killed, now));
            if let Err(error) = sys::signal_process(&*self.shim.process, sys::StopSignal::Kill) {
                tracing::error!(repository = %key, pid, %error, "cannot kill a shim");
            }
        }
        false
    }

    /// When the shim must start to end its scan, and why.
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

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    /// How long after its limit a shim is killed if it is checked at this interval.
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
        let about = |time: Duration, expected: Duration| {
            assert!(
                time + INTERVAL >= expected && time <= expected + INTERVAL,
                "{time:?} {expected:?}"
            );
        };
        about(stopped, STOPPED);
        // Stopped only before its limit: it still gets the full grace period.
        let before = killed_after(INTERVAL, |at| at < Duration::from_secs(100)).unwrap();
        let running = killed_after(INTERVAL, |_| false).unwrap();
        about(before, GRACE + MARGIN);
        about(running, GRACE + MARGIN);
        // Resumed again and again, as a malicious scanner could do: the limit still applies.
        let played = killed_after(INTERVAL, |at| at.as_secs() % 2 == 0).unwrap();
        assert!(played <= running, "{played:?}");
    }

    /// Breaks if a server that was stopped for an hour together with its shims kills them all on
    /// resume, before they can respond.
    #[test]
    fn time_in_which_nothing_was_checked_is_not_counted() {
        let begin = Instant::now();
        let mut clock = Clock::new(begin);
        let after = begin + Duration::from_hours(1);
        assert!(!clock.check(after, begin + GRACE, true, GRACE));
        assert!(!clock.check(after + INTERVAL, begin + GRACE, false, GRACE));
    }
}
