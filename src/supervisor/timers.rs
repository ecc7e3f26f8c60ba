//! The loop's timers for single attempts and hosts.
//!
//! Input: an attempt and a time. Output: the attempt, once the time has passed.
//!
//! Invariant: a timer is never stopped; whoever takes it checks that its attempt still matters.

use super::RepoKey;
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

/// What a timer was started for.
#[derive(Debug)]
pub(super) enum Elapsed {
    /// The pause before the attempt has ended.
    Pause(RepoKey, u64),
    /// The attempt's scan has run so long that it counts as slow.
    Slow(RepoKey, u64),
    /// The pause of a host that throttles has ended.
    HostPause,
}

/// The timers that run.
#[derive(Debug, Default)]
pub(super) struct Timers(JoinSet<Elapsed>);

impl Timers {
    pub(super) fn start(&mut self, after: Duration, what: Elapsed) {
        self.0.spawn(async move {
            sleep(after).await;
            what
        });
    }

    /// Waits for the next timer; `None` if none runs.
    pub(super) async fn next(&mut self) -> Option<Elapsed> {
        loop {
            match self.0.join_next().await {
                Some(Ok(elapsed)) => return Some(elapsed),
                // A timer cannot panic and is never stopped.
                Some(Err(_)) => {}
                None => return None,
            }
        }
    }
}
