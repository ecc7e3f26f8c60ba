//! Checks a session while it lasts: whether its streams and consumers still exist, whether their changes still arrive, and
//! whether NATS stores anything.
//!
//! Input: the session, and the last revisions that its watches have delivered. Output: why the session must end, so that the
//! next one creates and reads everything again; refusals of NATS for /health.
//!
//! Invariants: the client follows a stream that was deleted, or whose server died, for ever and in silence, so silence is
//! never taken for the absence of changes; a slow answer alone ends nothing.

use super::{error::NatsError, hub::Hub, orphans::Orphans, session::Session};
use crate::wire::names::AgentName;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often a session is checked.
const EVERY: Duration = Duration::from_secs(2);
/// After how many checks without progress a watch counts as broken.
const CHECKS_WITHOUT_PROGRESS: u32 = 2;
/// How long a stream may not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Every how many checks it is tested that NATS stores something.
const CHECKS_OF_STORE: u32 = 3;
/// Every how many checks it is looked up what is left over in the buckets of agents.
const CHECKS_OF_ORPHANS: u32 = 2;
/// How many buckets of agents are looked up in one check.
const BUCKETS_AT_ONCE: usize = 10;

/// The last revisions that the watches of a session have delivered.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) statuses: AtomicU64,
    pub(super) heartbeats: AtomicU64,
}

impl Seen {
    /// Notes that a watch has delivered a revision.
    pub(super) fn note(of: &AtomicU64, revision: u64) {
        of.fetch_max(revision, Ordering::AcqRel);
    }
}

/// What is known of a watch.
#[derive(Debug, Default)]
struct Progress {
    /// The last revision of the stream at the first check: what is older may have been removed unseen.
    base: Option<u64>,
    /// The last revision of the stream at the check before.
    last: u64,
    /// The last revision that was delivered by then.
    seen: u64,
    without: u32,
}

impl Progress {
    /// Takes in the last revision of the stream and the last one that was delivered. Returns whether the watch is broken.
    fn is_broken(&mut self, last: u64, seen: u64) -> bool {
        let base = *self.base.get_or_insert(last);
        let is_behind = self.last > base && seen < self.last;
        self.without = if is_behind && seen == self.seen { self.without + 1 } else { 0 };
        (self.last, self.seen) = (last, seen);
        self.without >= CHECKS_WITHOUT_PROGRESS
    }
}

/// Returns why the session must end.
pub(super) async fn check(hub: &Arc<Hub>, session: &Session, seen: &Seen) -> String {
    let (mut statuses, mut heartbeats) = (Progress::default(), Progress::default());
    let mut failing: Option<Instant> = None;
    let mut orphans = Orphans::default();
    let (mut count, mut next_bucket, mut next_orphans) = (0u32, 0, 0);
    loop {
        sleep(EVERY).await;
        count = count.wrapping_add(1);
        let checked = async {
            let streams = session.check_streams().await?;
            for agent in some_agents(hub, &mut next_bucket) {
                session.create_results(&agent).await?;
            }
            if count.is_multiple_of(CHECKS_OF_ORPHANS) {
                for agent in some_agents(hub, &mut next_orphans) {
                    orphans.remove(hub, session, &agent).await?;
                }
            }
            Ok::<_, NatsError>(streams)
        };
        match checked.await {
            Err(error) if error.is_permanent() => return error.to_string(),
            Err(error) => {
                if failing.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    return error.to_string();
                }
                continue;
            }
            Ok(last) => {
                failing = None;
                for (progress, name, last, seen) in [
                    (&mut statuses, "statuses", last.statuses, &seen.statuses),
                    (&mut heartbeats, "heartbeats", last.heartbeats, &seen.heartbeats),
                ] {
                    if progress.is_broken(last, seen.load(Ordering::Acquire)) {
                        return format!("changes of the {name} no longer arrive");
                    }
                }
            }
        }
        if count.is_multiple_of(CHECKS_OF_STORE)
            && let Err(error) = session.store_something().await
        {
            hub.note_refusal(&error.to_string());
        }
    }
}

/// A few of the enrolled agents, each time others.
fn some_agents(hub: &Hub, next: &mut usize) -> Vec<AgentName> {
    let roster = hub.roster();
    let names = roster.enrolled();
    let some: Vec<_> =
        names.keys().cycle().skip(*next).take(names.len().min(BUCKETS_AT_ONCE)).cloned().collect();
    *next = (*next + some.len()) % names.len().max(1);
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_delivers_nothing_new_is_broken() {
        let mut progress = Progress::default();
        // What was removed before the session is never delivered.
        assert!(!progress.is_broken(50, 0) && !progress.is_broken(50, 0));
        assert!(!progress.is_broken(50, 0) && !progress.is_broken(60, 0));
        // Behind, but it goes on.
        assert!(!progress.is_broken(70, 20) && !progress.is_broken(80, 40));
        assert!(!progress.is_broken(80, 80) && !progress.is_broken(80, 80));
        assert!(!progress.is_broken(90, 80));
        assert!(!progress.is_broken(90, 80));
        assert!(progress.is_broken(95, 80));
    }
}
