//! A reader of changes, in whatever form they are sent.
//!
//! Input: a source of changes, the last event that the reader has seen, and a future that ends it.
//! Output: steps: messages to send, a keep-alive, or the end. A reader is a cursor: after a change
//! it gets the newest message of each part that is newer than the cursor.
//!
//! Invariants: nothing is stored per reader; a slow reader gets fewer, newer messages, and never
//! misses a final state; all streams end with the server. A waiting reader has one timer, which is
//! not reset for each message, because there are thousands of readers.

use super::messages::{EventId, Message, MessageBatch, Then};
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

/// How often something is sent on an idle connection, to keep it open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Something that publishes changes.
pub(super) trait ChangeSource: Send + Sync {
    /// The shortest time between two reads of one reader; changes in between are sent together.
    fn min_interval(&self) -> Duration;

    /// The newest version.
    fn newest(&self) -> EventId;

    /// The first version: a reader with an older cursor starts with a snapshot.
    fn first(&self) -> u64;

    /// A channel that wakes at each change, and closes when no more changes can follow.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether a reader that has seen everything has nothing more to expect.
    fn is_over(&self) -> bool;

    /// The messages for a new reader.
    fn snapshot(&self) -> MessageBatch;

    /// The messages that are newer than `cursor`.
    fn messages_after(&self, cursor: u64) -> MessageBatch;
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send these messages.
    Send(Vec<Message>),
    /// Send anything, because the connection has been idle for long.
    KeepOpen,
    /// End the stream.
    End(Ending),
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was followed is finished, and the reader has seen all of it; or it was removed.
    Over,
    /// The server shuts down.
    Shutdown,
    /// The user lost the right to read it.
    Revoked,
}

/// One reader. `guard` is dropped together with it.
pub struct Follower<G> {
    source: Arc<dyn ChangeSource>,
    /// The version up to which everything has been sent; `None` before the snapshot.
    cursor: Option<u64>,
    ended: Option<Ending>,
    /// There may be messages that have not been sent.
    has_more: bool,
    /// The earliest time of the next read.
    fetch_at: Instant,
    /// When a keep-alive is due.
    heartbeat: Instant,
    change: ReusableBoxFuture<'static, Option<watch::Receiver<u64>>>,
    end: Pin<Box<dyn Future<Output = Ending> + Send>>,
    /// Fires at or before the earlier of the two times above.
    alarm: Option<Pin<Box<Sleep>>>,
    _guard: G,
}

impl<G> fmt::Debug for Follower<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<G> Follower<G> {
    /// Starts a reader. `last`: the newest event that a returning reader has seen. `end` ends the
    /// reader, even if there are more changes.
    pub(super) fn new(
        source: Arc<dyn ChangeSource>,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Self {
        let newest = source.newest();
        // The last event may be of another run of the server, of a removed job with the same id, or
        // a version that never existed: then the reader starts with a snapshot.
        let versions = source.first()..=newest.version;
        let cursor =
            last.filter(|seen| seen.epoch == newest.epoch && versions.contains(&seen.version));
        let is_over = source.is_over() && cursor == Some(newest);
        let now = Instant::now();
        Self {
            change: ReusableBoxFuture::new(next_change(source.changes())),
            ended: is_over.then_some(Ending::Over),
            source,
            cursor: cursor.map(|seen| seen.version),
            has_more: true,
            fetch_at: now,
            heartbeat: now + HEARTBEAT,
            end: Box::pin(end),
            alarm: None,
            _guard: guard,
        }
    }

    /// Whether the reader has seen everything and nothing more follows.
    pub fn is_over(&self) -> bool {
        self.ended == Some(Ending::Over)
    }

    /// The next step. The future is cancel-safe: dropping it loses no message.
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
            if !self.has_more
                && let Poll::Ready(change) = self.change.poll(context)
            {
                match change {
                    Some(changes) => {
                        self.change.set(next_change(changes));
                        self.has_more = true;
                    }
                    None => self.ended = Some(Ending::Over),
                }
                continue;
            }
            if self.has_more && self.fetch_at <= Instant::now() {
                self.has_more = false;
                if let Some(messages) = self.fetch() {
                    return Poll::Ready(Step::Send(messages));
                }
                // There are no messages, for example because the job was removed.
                continue;
            }
            let due =
                if self.has_more { self.fetch_at.min(self.heartbeat) } else { self.heartbeat };
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

    /// The messages after the cursor, if there are any.
    fn fetch(&mut self) -> Option<Vec<Message>> {
        let batch = match self.cursor {
            None => self.source.snapshot(),
            Some(cursor) => self.source.messages_after(cursor),
        };
        self.cursor = Some(batch.version);
        self.ended = (batch.then == Then::Nothing).then_some(Ending::Over);
        if batch.messages.is_empty() {
            return None;
        }
        let now = Instant::now();
        self.heartbeat = now + HEARTBEAT;
        self.has_more = batch.then == Then::More;
        self.fetch_at = if self.has_more { now } else { now + self.source.min_interval() };
        Some(batch.messages)
    }
}

/// Waits for a change; `None` when no more changes can follow.
async fn next_change(mut changes: watch::Receiver<u64>) -> Option<watch::Receiver<u64>> {
    changes.changed().await.is_ok().then_some(changes)
}
