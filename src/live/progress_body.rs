//! The progress document as it is sent: shared pieces, with the elapsed seconds inserted between
//! them.
//!
//! Input: the pieces of the newest document, and the time. Output: a body with its entity tag,
//! whole or in pieces, plain or compressed.
//!
//! Invariants: a body is made once per version of the job, on the first request, and for a huge job
//! at most ten times a second; the seconds are inserted when the body is sent and are not part of
//! the entity tag; a small or compressed body is assembled once a second for a running job, once
//! for a finished one, and shared by all requests in between.

use super::{
    EventId,
    elapsed::Elapsed,
    ledger::Ledger,
    pieces::{Kept, PIECE, PieceReader, SharedDocument},
    progress_document::Pieces,
};
use crate::model::progress::Lists;
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most digits that the elapsed seconds can have.
const MAX_DIGITS: usize = 20;
/// From this many repositories on, a body may be outdated by [`HUGE_INTERVAL`].
pub(super) const HUGE: usize = 1_000;
const HUGE_INTERVAL: Duration = Duration::from_millis(100);
/// The first snapshot of a stream of a huge job may be older, because the later changes follow it.
/// Streams that start within this time share one.
const JOINING_INTERVAL: Duration = Duration::from_secs(1);

/// One progress document; cloning shares it.
#[derive(Debug, Clone)]
pub struct ProgressBody(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    document: SharedDocument,
    id: EventId,
    tag: Bytes,
    elapsed: Elapsed,
    whole: Mutex<Option<ForSecond<Bytes>>>,
    compressed: Mutex<Option<ForSecond<Kept>>>,
}

/// A representation of a document, with this number of elapsed seconds in it.
#[derive(Debug)]
struct ForSecond<T> {
    seconds: u64,
    made: T,
}

/// A document on its way to a client.
#[derive(Debug)]
pub enum Sent {
    /// At most [`PIECE`] bytes.
    Whole(Bytes),
    Pieces(PieceReader),
}

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyUse {
    /// A single answer.
    Answer,
    /// The start of a stream, which sends the later changes too.
    Snapshot,
}

impl BodyUse {
    /// The maximum age of a body that is not of the newest version.
    pub(super) fn max_age(self, repositories: usize, ended: bool) -> Duration {
        match self {
            _ if repositories < HUGE => Duration::ZERO,
            Self::Snapshot if !ended => JOINING_INTERVAL,
            Self::Answer | Self::Snapshot => HUGE_INTERVAL,
        }
    }
}

impl ProgressBody {
    /// A body of these pieces, and the handle by which the cache accounts for it.
    pub(super) fn new(
        made: Pieces,
        lists: Lists,
        id: EventId,
        elapsed: Elapsed,
        ledger: &Ledger,
    ) -> (Self, Kept) {
        let document = SharedDocument::new(ledger, made.list, Some(made.splice));
        let kept = document.clone().keep(made.own + document.list_bytes());
        let mark = if lists == Lists::Omitted { "s" } else { "" };
        let (whole, compressed) = (Mutex::default(), Mutex::default());
        let tag = format!("W/\"{id}{mark}\"").into();
        (Self(Arc::new(Inner { document, id, tag, elapsed, whole, compressed })), kept)
    }

    /// The version of the job that this document shows.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The entity tag, a weak one.
    pub fn tag(&self) -> &Bytes {
        &self.0.tag
    }

    /// The size of the document in bytes, without the digits of the elapsed seconds.
    pub fn length(&self) -> usize {
        self.0.document.length()
    }

    /// A reader of the document, with the current elapsed seconds.
    pub fn reader(&self) -> PieceReader {
        self.0.document.reader(Some(self.seconds().to_string().into()))
    }

    /// The document, with the current elapsed seconds.
    pub fn sent(&self) -> Sent {
        if self.length() + MAX_DIGITS > PIECE {
            return Sent::Pieces(self.reader());
        }
        let Inner { document, whole, .. } = &*self.0;
        let join = |seconds: u64| document.joined(seconds.to_string().as_bytes()).into();
        Sent::Whole(cached_for_second(whole, self.seconds(), join, Bytes::clone))
    }

    /// The document with the current elapsed seconds, compressed by `compress`. Other callers wait
    /// meanwhile.
    pub fn compressed(&self, compress: impl FnOnce(&[u8]) -> Vec<u8>) -> Sent {
        let Inner { document, compressed, .. } = &*self.0;
        let make = |seconds: u64| {
            let plain = document.joined(seconds.to_string().as_bytes());
            Kept::of_bytes(document.ledger(), compress(&plain))
        };
        let sent = cached_for_second(compressed, self.seconds(), make, |kept| {
            match kept.document().single() {
                Some(bytes) => Sent::Whole(bytes),
                None => Sent::Pieces(kept.document().reader(None)),
            }
        });
        // The compressed document of an earlier second has been superseded.
        document.ledger().enforce_limit();
        sent
    }

    fn seconds(&self) -> u64 {
        self.0.elapsed.seconds(Instant::now())
    }
}

/// Returns a part of the representation for these seconds, which is made if it does not exist yet.
fn cached_for_second<M, T>(
    cached: &Mutex<Option<ForSecond<M>>>,
    seconds: u64,
    make: impl FnOnce(u64) -> M,
    take: impl FnOnce(&M) -> T,
) -> T {
    let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
    let known = cached.take().filter(|cached| cached.seconds == seconds);
    let known = known.unwrap_or_else(|| ForSecond { seconds, made: make(seconds) });
    take(&cached.insert(known).made)
}

/// The newest body of each view.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    whole: Option<Cached>,
    summary: Option<Cached>,
}

#[derive(Debug)]
struct Cached {
    body: ProgressBody,
    _kept: Kept,
    made: Instant,
}

impl Bodies {
    /// Returns the body of `version`. `make` is called if the existing body is of another version
    /// and older than `max_age`. The flag says whether an existing body was superseded.
    pub(super) fn get(
        &mut self,
        lists: Lists,
        version: u64,
        max_age: Duration,
        make: impl FnOnce() -> (ProgressBody, Kept),
    ) -> (ProgressBody, bool) {
        let place = match lists {
            Lists::Whole => &mut self.whole,
            Lists::Omitted => &mut self.summary,
        };
        if let Some(Cached { body, made, .. }) = place {
            let lags = lists == Lists::Whole && made.elapsed() < max_age;
            if body.id().version == version || lags {
                return (body.clone(), false);
            }
        }
        let (body, kept) = make();
        let cached = Cached { body: body.clone(), _kept: kept, made: Instant::now() };
        (body, place.replace(cached).is_some())
    }
}
