//! Streams of one job's frames. A stream is a cursor: when the job changes, it sends the newest
//! frame of each part that is past the cursor. Nothing is kept per reader; a reader that is slow
//! finds fewer, newer frames when it comes back, and never misses a final state.

use super::{
    LiveJob,
    frames::{EventId, Frames},
};
use bytes::{Bytes, BytesMut};
use chrono::Utc;
use futures_util::{Stream, stream};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often a comment keeps a silent line open.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client is asked to wait before it comes back, in milliseconds.
const RETRY_MILLIS: u64 = 2_000;

/// A stream of chunks of an event stream's body.
pub struct FrameStream {
    // The server wants streams that can be shared between threads. This one is only ever polled
    // through `&mut`, so the lock is never taken.
    inner: Mutex<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
}

impl std::fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameStream")
    }
}

impl Stream for FrameStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let inner = this.inner.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(cx).map(|item| item.map(Ok))
    }
}

struct Reader<G> {
    job: Arc<LiveJob>,
    changes: watch::Receiver<u64>,
    /// The version up to which everything has been sent; none before the snapshot.
    cursor: Option<u64>,
    begun: bool,
    over: bool,
    heartbeat: Instant,
    shutdown: CancellationToken,
    _guard: G,
}

/// The stream for a reader that joins, or that comes back with `last` seen. `None`: it has seen
/// everything, and nothing more will come.
///
/// `guard` is dropped when the stream is.
pub fn job_stream<G: Send + 'static>(
    job: Arc<LiveJob>,
    last: Option<EventId>,
    shutdown: CancellationToken,
    guard: G,
) -> Option<FrameStream> {
    let newest = job.event_id();
    // Of another run of the server, or of a future that never was: begin with a snapshot.
    let cursor = last.filter(|it| it.epoch == newest.epoch && it.version <= newest.version);
    if job.is_over() && cursor == Some(newest) {
        return None;
    }
    let reader = Reader {
        changes: job.changes(),
        job,
        cursor: cursor.map(|it| it.version),
        begun: false,
        over: false,
        heartbeat: Instant::now() + HEARTBEAT,
        shutdown,
        _guard: guard,
    };
    let frames = stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        Some((chunk, reader))
    });
    Some(FrameStream { inner: Mutex::new(Box::pin(frames)) })
}

impl<G> Reader<G> {
    /// The next chunk to send; `None` when the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            let mut chunk = BytesMut::from(format!("retry: {RETRY_MILLIS}\n\n").as_bytes());
            if self.cursor.is_none() {
                let snapshot = self.job.snapshot(Utc::now());
                self.take(&snapshot, &mut chunk);
            }
            return Some(chunk.freeze());
        }
        loop {
            if self.over || self.shutdown.is_cancelled() {
                return None;
            }
            // Marked as seen before looking, so that a change while looking wakes again.
            self.changes.borrow_and_update();
            let frames = self.job.frames_after(self.cursor.unwrap_or(0));
            let mut chunk = BytesMut::new();
            self.take(&frames, &mut chunk);
            if !chunk.is_empty() {
                self.heartbeat = Instant::now() + HEARTBEAT;
                return Some(chunk.freeze());
            }
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() {
                    return None;
                },
                () = tokio::time::sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return Some(Bytes::from_static(b": still here\n\n"));
                }
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    fn take(&mut self, frames: &Frames, chunk: &mut BytesMut) {
        for frame in &frames.pieces {
            chunk.extend_from_slice(frame);
        }
        self.cursor = Some(frames.version);
        self.over = frames.over;
    }
}
