//! A reader that follows what changes, whatever form it is sent in: it is a cursor. When what it
//! follows changes, it gets the newest message of each part that is past the cursor.
//!
//! What must stay true: nothing is kept per reader; one that is slow finds fewer, newer messages
//! when it comes back, and never misses a final state; all streams end with the server. A reader that
//! waits has one timer, which is not set anew for each message: there are thousands of them.

use super::frames::{EventId, Frames, Message, Then};
use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::ReusableBoxFuture;

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
    /// The user's rights have ended.
    Revoked,
}

/// One reader. With it goes a `guard`, which is dropped when the reader is.
pub struct Follower<G> {
    source: Arc<dyn Source>,
    /// The version up to which everything has been sent; none before the snapshot.
    cursor: Option<u64>,
    ended: Option<Ending>,
    /// There may be something that has not been sent.
    unseen: bool,
    /// Before this it does not look again.
    look_at: Instant,
    /// When the line has been silent for too long.
    heartbeat: Instant,
    change: ReusableBoxFuture<'static, Option<watch::Receiver<u64>>>,
    end: Pin<Box<dyn Future<Output = Ending> + Send>>,
    /// Fires when one of the two times above has come, or before.
    alarm: Option<Pin<Box<Sleep>>>,
    _guard: G,
}

impl<G> fmt::Debug for Follower<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<G> Follower<G> {
    /// A reader that joins, or that comes back with `last` seen. What it follows may end before
    /// `end` does.
    pub(super) fn new(
        source: Arc<dyn Source>,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Self {
        let newest = source.newest();
        // Of another run of the server, of another job that had the same id, or of a future that
        // never was: begin with a snapshot.
        let versions = source.first()..=newest.version;
        let cursor = last.filter(|it| it.epoch == newest.epoch && versions.contains(&it.version));
        let is_over = source.is_over() && cursor == Some(newest);
        let now = Instant::now();
        Self {
            change: ReusableBoxFuture::new(next_change(source.changes())),
            ended: is_over.then_some(Ending::Over),
            source,
            cursor: cursor.map(|it| it.version),
            unseen: true,
            look_at: now,
            heartbeat: now + HEARTBEAT,
            end: Box::pin(end),
            alarm: None,
            _guard: guard,
        }
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.ended == Some(Ending::Over)
    }

    /// The next step. May be dropped while it waits: no message is lost by that.
    pub async fn next(&mut self) -> Step {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next step.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        if self.ended.is_none()
            && let Poll::Ready(ending) = self.end.as_mut().poll(context)
        {
            self.ended = Some(ending);
        }
        loop {
            if let Some(ending) = self.ended {
                return Poll::Ready(Step::End(ending));
            }
            if !self.unseen
                && let Poll::Ready(change) = self.change.poll(context)
            {
                match change {
                    Some(changes) => {
                        self.change.set(next_change(changes));
                        self.unseen = true;
                    }
                    None => self.ended = Some(Ending::Over),
                }
                continue;
            }
            if self.unseen && self.look_at <= Instant::now() {
                self.unseen = false;
                if let Some(messages) = self.look() {
                    return Poll::Ready(Step::Send(messages));
                }
                // Nothing to say, as where the job has been removed.
                continue;
            }
            let due = if self.unseen { self.look_at.min(self.heartbeat) } else { self.heartbeat };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            ready!(alarm.as_mut().poll(context));
            let now = Instant::now();
            let is_silent = self.heartbeat <= now;
            if is_silent {
                self.heartbeat = now + HEARTBEAT;
            }
            alarm.as_mut().reset(self.heartbeat);
            if is_silent {
                return Poll::Ready(Step::KeepOpen);
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
        self.ended = (frames.then == Then::Nothing).then_some(Ending::Over);
        if frames.messages.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.heartbeat = now + HEARTBEAT;
        self.unseen = frames.then == Then::More;
        self.look_at = if self.unseen { now } else { now + self.source.pace() };
        Some(frames.messages)
    }
}

/// Waits for a change; none once there is nothing more to follow.
async fn next_change(mut changes: watch::Receiver<u64>) -> Option<watch::Receiver<u64>> {
    changes.changed().await.is_ok().then_some(changes)
}
