//! A reader that follows what changes, whatever form it is sent in: it is a cursor. When what it
//! follows changes, it gets the newest message of each part that is past the cursor.
//!
//! What must stay true: nothing is kept per reader; one that is slow finds fewer, newer messages
//! when it comes back, and never misses a final state; all streams end with the server.

use super::frames::{EventId, Frames, Message, Then};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How often something is sent over a silent line, to keep it open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What can be followed.
pub(super) trait Source: Send + Sync {
    /// The shortest time between two looks of one reader: what changes meanwhile is told at once.
    fn pace(&self) -> Duration;

    /// The newest version.
    fn newest(&self) -> EventId;

    /// The first version: a reader with an older one starts with a snapshot.
    fn first(&self) -> u64;

    /// Wakes at each change; fails once there is nothing more to follow.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether a reader that has seen everything has nothing more to expect.
    fn is_over(&self) -> bool;

    /// What a reader begins with.
    fn snapshot(&self) -> Frames;

    /// What a reader at `cursor` has not been sent.
    fn frames_after(&self, cursor: u64) -> Frames;
}

/// What a reader is to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these.
    Send(Vec<Message>),
    /// Send anything: the line has been silent for long.
    KeepOpen,
    /// Nothing more comes.
    End(Ending),
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was followed is over, and the reader knows all of it; or it is gone.
    Over,
    /// The server stops.
    Shutdown,
}

/// One reader. With it goes a `guard`, which is dropped when the reader is.
pub struct Follower<G> {
    source: Arc<dyn Source>,
    changes: watch::Receiver<u64>,
    /// The version up to which everything has been sent; none before the snapshot.
    cursor: Option<u64>,
    over: bool,
    heartbeat: Instant,
    /// Before this it does not look again.
    look_at: Instant,
    shutdown: CancellationToken,
    _guard: G,
}

impl<G> fmt::Debug for Follower<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<G> Follower<G> {
    /// A reader that joins, or that comes back with `last` seen.
    pub(super) fn new(
        source: Arc<dyn Source>,
        last: Option<EventId>,
        shutdown: CancellationToken,
        guard: G,
    ) -> Self {
        let newest = source.newest();
        // Of another run of the server, of another job that had the same id, or of a future that
        // never was: begin with a snapshot.
        let versions = source.first()..=newest.version;
        let cursor = last.filter(|it| it.epoch == newest.epoch && versions.contains(&it.version));
        let now = Instant::now();
        Self {
            changes: source.changes(),
            over: source.is_over() && cursor == Some(newest),
            source,
            cursor: cursor.map(|it| it.version),
            heartbeat: now + HEARTBEAT,
            look_at: now,
            shutdown,
            _guard: guard,
        }
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next step. May be dropped while it waits: no message is lost by that.
    pub async fn next(&mut self) -> Step {
        loop {
            if self.over {
                return Step::End(Ending::Over);
            }
            if self.shutdown.is_cancelled() {
                return Step::End(Ending::Shutdown);
            }
            // Marked as seen before looking, so that a change while looking wakes again.
            self.changes.borrow_and_update();
            if Instant::now() >= self.look_at
                && let Some(messages) = self.look()
            {
                return Step::Send(messages);
            }
            if self.over {
                // Nothing was left to say, as where the job has been removed.
                continue;
            }
            let resting = self.look_at > Instant::now();
            tokio::select! {
                () = self.shutdown.cancelled() => return Step::End(Ending::Shutdown),
                () = sleep_until(self.look_at), if resting => {}
                changed = self.changes.changed(), if !resting => if changed.is_err() {
                    return Step::End(Ending::Over);
                },
                () = sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Step::KeepOpen;
                }
            }
        }
    }

    /// What is new, if anything is.
    fn look(&mut self) -> Option<Vec<Message>> {
        let frames = match self.cursor {
            None => self.source.snapshot(),
            Some(cursor) => self.source.frames_after(cursor),
        };
        self.cursor = Some(frames.version);
        self.over = frames.then == Then::Nothing;
        if frames.messages.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.heartbeat = now + HEARTBEAT;
        self.look_at = if frames.then == Then::More { now } else { now + self.source.pace() };
        Some(frames.messages)
    }
}
