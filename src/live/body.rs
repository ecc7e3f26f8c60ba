//! The progress document as it is sent: shared pieces, and the elapsed seconds among them.
//!
//! It is made once per version of the job, when somebody first asks; a huge job's at most ten times
//! a second. The seconds are spliced in per request and are no part of the entity tag.

use super::{
    EventId,
    document::Pieces,
    elapsed::Elapsed,
    ledger::{Kept, Ledger},
    pieces::{Document, Reader},
};
use crate::model::progress::Lists;
use std::time::{Duration, Instant};

/// From this many repositories on, a body may lag behind by [`HUGE_INTERVAL`].
pub(super) const HUGE: usize = 1_000;
const HUGE_INTERVAL: Duration = Duration::from_millis(100);
/// The snapshot with which the streams of a huge job begin may be older: the changes after it
/// follow. So those who join within this time share one.
const JOINING_INTERVAL: Duration = Duration::from_secs(1);

/// One progress document; cloning shares it.
#[derive(Debug, Clone)]
pub struct Body {
    document: Document,
    id: EventId,
    elapsed: Elapsed,
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
        id: EventId,
        elapsed: Elapsed,
        ledger: &Ledger,
    ) -> (Self, Kept) {
        let document = Document::new(ledger, made.list, Some(made.splice));
        let kept = ledger.keep(document.clone(), made.own + document.list_bytes());
        (Self { document, id, elapsed }, kept)
    }

    /// The version that this is the document of.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// A reader of the document as it is now.
    pub fn reader(&self) -> Reader {
        let elapsed = self.elapsed.seconds(Instant::now()).to_string();
        self.document.reader(Some(elapsed.into()))
    }
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
            Lists::LeftOut => &mut self.summary,
        };
        if let Some(Cached { body, made, .. }) = place {
            let lags = lists == Lists::Whole && made.elapsed() < most_age;
            if body.id.version == version || lags {
                return (body.clone(), false);
            }
        }
        let (body, kept) = make();
        let cached = Cached { body: body.clone(), _kept: kept, made: Instant::now() };
        (body, place.replace(cached).is_some())
    }
}
