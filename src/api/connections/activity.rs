//! What a connection is doing: its requests, and whether its peer reads.
//!
//! Input: notes of the socket and of the bodies of a connection. Output: the state from which the
//! connection decides whether it is idle, stalled or left with unread data.
//!
//! Invariants: time that the server itself needs, for an event or for the disk, is not counted
//! against the client.

use hyper::Version;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The activity of a connection so far.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: AtomicU64,
    under_way: AtomicUsize,
    http2: AtomicBool,
    unread: AtomicBool,
    /// Only for HTTP/2.
    pending_writes: OnceLock<Arc<PendingWrites>>,
    /// Since when a write waits for the peer to read.
    stalled_since: Mutex<Option<Instant>>,
}

impl Activity {
    /// The number of requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Whether an answer is not completely handed to hyper yet.
    pub(super) fn is_answering(&self) -> bool {
        self.under_way.load(Relaxed) > 0
    }

    /// Whether the last request was one of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Relaxed)
    }

    /// Counts the writes of HTTP/2 answers from now on.
    pub(super) fn count_writes(&self) -> Arc<PendingWrites> {
        Arc::clone(self.pending_writes.get_or_init(Arc::default))
    }

    /// Notes that a request body was dropped before its end.
    pub(crate) fn note_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether a request body was dropped before its end.
    pub(crate) fn left_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Notes since when the peer does not read, or that it reads again.
    pub(crate) fn note_stall(&self, since: Option<Instant>) {
        *self.stalled_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// How long the peer has not read a part of an HTTP/2 answer.
    pub(super) fn pending_writes(&self) -> Option<Duration> {
        self.pending_writes.get()?.longest()
    }

    /// How long a write has waited for the peer to read.
    pub(super) fn stalled(&self) -> Option<Duration> {
        let since = *self.stalled_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }
}

/// Counts a request as active until the last byte of its answer is handed to hyper.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl UnderWay {
    pub(super) fn new(activity: Arc<Activity>, version: Version) -> Self {
        activity.requests.fetch_add(1, Relaxed);
        activity.under_way.fetch_add(1, Relaxed);
        activity.http2.store(version == Version::HTTP_2, Relaxed);
        Self(activity)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}

/// The writes of a connection that wait for the client.
#[derive(Debug, Default)]
pub(crate) struct PendingWrites(Mutex<Waits>);

/// Since when each write has made no progress.
#[derive(Debug, Default)]
struct Waits {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl PendingWrites {
    /// The longest time without progress of a pending write; `None` if no write is pending.
    pub(crate) fn longest(&self) -> Option<Duration> {
        self.waits().since.values().min().map(Instant::elapsed)
    }

    pub(super) fn begin(self: &Arc<Self>) -> Wait {
        let mut waits = self.waits();
        let number = waits.next;
        waits.next += 1;
        waits.since.insert(number, Instant::now());
        Wait { pending_writes: Arc::clone(self), number }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that is pending until this is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    pending_writes: Arc<PendingWrites>,
    number: u64,
}

impl Wait {
    /// Notes that the client has read a part.
    pub(super) fn progressed(&self) {
        self.pending_writes.waits().since.insert(self.number, Instant::now());
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.pending_writes.waits().since.remove(&self.number);
    }
}
