//! The progress document as it is sent: shared pieces, and the elapsed seconds among them.
//!
//! It is made once per version of the job, when somebody first asks; a huge job's at most ten times
//! a second. The seconds are spliced in and are no part of the entity tag. What is sent of a small
//! document, or of a compressed one, is made once for each second of a job at work, once for a finished
//! one, and shared by those who ask meanwhile.

use super::{
    EventId,
    document::Pieces,
    elapsed::Elapsed,
    ledger::{Kept, Ledger},
    pieces::{Document, PIECE, Reader},
};
use crate::model::progress::Lists;
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most digits of the elapsed seconds.
const MOST_DIGITS: usize = 20;
/// From this many repositories on, a body may lag behind by [`HUGE_INTERVAL`].
pub(super) const HUGE: usize = 1_000;
const HUGE_INTERVAL: Duration = Duration::from_millis(100);
/// The snapshot with which the streams of a huge job begin may be older: the changes after it
/// follow. So those who join within this time share one.
const JOINING_INTERVAL: Duration = Duration::from_secs(1);

/// One progress document; cloning shares it.
#[derive(Debug, Clone)]
pub struct Body(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    document: Document,
    id: EventId,
    tag: Bytes,
    elapsed: Elapsed,
    whole: Mutex<Option<OfSecond<Bytes>>>,
    compressed: Mutex<Option<OfSecond<Kept>>>,
}

/// What was made of a document, with these elapsed seconds in it.
#[derive(Debug)]
struct OfSecond<T> {
    seconds: u64,
    made: T,
}

/// A document on its way to a client.
#[derive(Debug)]
pub enum Sent {
    /// At most [`PIECE`] bytes.
    Whole(Bytes),
    Pieces(Reader),
}

/// Who wants a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Somebody who asks once.
    Answer,
    /// A stream, which sends the later changes after it.
    Snapshot,
}

impl Wanted {
    /// How old a body may be that is not of the newest version.
    pub(super) fn most_age(self, repositories: usize, ended: bool) -> Duration {
        match self {
            _ if repositories < HUGE => Duration::ZERO,
            Self::Snapshot if !ended => JOINING_INTERVAL,
            Self::Answer | Self::Snapshot => HUGE_INTERVAL,
        }
    }
}

impl Body {
    /// The body made of these pieces, and the cache's hold on it.
    pub(super) fn new(
        made: Pieces,
        lists: Lists,
        id: EventId,
        elapsed: Elapsed,
        ledger: &Ledger,
    ) -> (Self, Kept) {
        let document = Document::new(ledger, made.list, Some(made.splice));
        let kept = ledger.keep(document.clone(), made.own + document.list_bytes());
        let mark = if lists == Lists::Omitted { "s" } else { "" };
        let (whole, compressed) = (Mutex::default(), Mutex::default());
        let tag = format!("W/\"{id}{mark}\"").into();
        (Self(Arc::new(Inner { document, id, tag, elapsed, whole, compressed })), kept)
    }

    /// The version that this is the document of.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The entity tag, a weak one.
    pub fn tag(&self) -> &Bytes {
        &self.0.tag
    }

    /// Bytes of the document, but for the digits of the elapsed seconds.
    pub fn length(&self) -> usize {
        self.0.document.length()
    }

    /// A reader of the document as it is now.
    pub fn reader(&self) -> Reader {
        self.0.document.reader(Some(self.seconds().to_string().into()))
    }

    /// The document as it is now.
    pub fn sent(&self) -> Sent {
        if self.length() + MOST_DIGITS > PIECE {
            return Sent::Pieces(self.reader());
        }
        let Inner { document, whole, .. } = &*self.0;
        let join = |seconds: u64| document.joined(seconds.to_string().as_bytes()).into();
        Sent::Whole(of_second(whole, self.seconds(), join, Bytes::clone))
    }

    /// The document as it is now, compressed by `compress`. Made while others who ask for it wait.
    pub fn compressed(&self, compress: impl FnOnce(&[u8]) -> Vec<u8>) -> Sent {
        let Inner { document, compressed, .. } = &*self.0;
        let make = |seconds: u64| {
            let plain = document.joined(seconds.to_string().as_bytes());
            document.ledger().keep_bytes(compress(&plain))
        };
        let sent =
            of_second(compressed, self.seconds(), make, |kept| match kept.document().single() {
                Some(bytes) => Sent::Whole(bytes),
                None => Sent::Pieces(kept.document().reader(None)),
            });
        // That of the second before has been superseded.
        document.ledger().relieve();
        sent
    }

    fn seconds(&self) -> u64 {
        self.0.elapsed.seconds(Instant::now())
    }
}

/// Takes from what was made for these seconds, or makes it.
fn of_second<M, T>(
    cached: &Mutex<Option<OfSecond<M>>>,
    seconds: u64,
    make: impl FnOnce(u64) -> M,
    take: impl FnOnce(&M) -> T,
) -> T {
    let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
    let known = cached.take().filter(|it| it.seconds == seconds);
    let known = known.unwrap_or_else(|| OfSecond { seconds, made: make(seconds) });
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
    body: Body,
    _kept: Kept,
    made: Instant,
}

impl Bodies {
    /// The body of `version`, made by `make` where the one that is there is older than that and than
    /// `most_age`. Says whether another one has been superseded.
    pub(super) fn get(
        &mut self,
        lists: Lists,
        version: u64,
        most_age: Duration,
        make: impl FnOnce() -> (Body, Kept),
    ) -> (Body, bool) {
        let place = match lists {
            Lists::Whole => &mut self.whole,
            Lists::Omitted => &mut self.summary,
        };
        if let Some(Cached { body, made, .. }) = place {
            let lags = lists == Lists::Whole && made.elapsed() < most_age;
            if body.id().version == version || lags {
                return (body.clone(), false);
            }
        }
        let (body, kept) = make();
        let cached = Cached { body: body.clone(), _kept: kept, made: Instant::now() };
        (body, place.replace(cached).is_some())
    }
}
