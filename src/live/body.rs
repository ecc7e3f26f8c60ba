//! The progress document as it is sent: two shared pieces around the elapsed seconds.
//!
//! It is serialised once per version of the job, when somebody first asks; a huge job's at most
//! ten times a second. The seconds are spliced in per request and are no part of the entity tag.

use super::EventId;
use crate::model::{
    progress::{Head, JobFacts, Lists, Tail, elapsed_seconds},
    time::Timestamp,
};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// From this many repositories on, a body may lag behind by [`HUGE_INTERVAL`].
const HUGE: usize = 1_000;
const HUGE_INTERVAL: Duration = Duration::from_millis(100);

/// One progress document; cloning shares it.
#[derive(Debug, Clone)]
pub struct Body {
    head: Bytes,
    tail: Bytes,
    id: EventId,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
}

impl Body {
    pub(super) fn new(head: &Head<'_>, tail: &Tail<'_>, id: EventId, facts: &JobFacts) -> Self {
        let mut first = serde_json::to_vec(head).unwrap_or_default();
        // `{…}` and `{…}` become `{…,"elapsed_time_seconds":` and `,…}`.
        first.pop();
        first.extend_from_slice(b",\"elapsed_time_seconds\":");
        let mut last = serde_json::to_vec(tail).unwrap_or_default();
        if let Some(brace) = last.first_mut() {
            *brace = b',';
        }
        Self {
            head: first.into(),
            tail: last.into(),
            id,
            started_at: facts.started_at,
            completed_at: facts.completed_at,
        }
    }

    /// The version that this is the document of.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The whole document.
    pub fn bytes(&self, now: Timestamp) -> Bytes {
        let elapsed = elapsed_seconds(self.started_at, self.completed_at, now).to_string();
        let mut whole = Vec::with_capacity(self.head.len() + elapsed.len() + self.tail.len());
        whole.extend_from_slice(&self.head);
        whole.extend_from_slice(elapsed.as_bytes());
        whole.extend_from_slice(&self.tail);
        whole.into()
    }
}

/// The newest body of each view.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    whole: Option<(Body, Instant)>,
    summary: Option<(Body, Instant)>,
}

impl Bodies {
    /// The body of `version`, made by `make` where the one that is there is older.
    pub(super) fn get(
        &mut self,
        lists: Lists,
        version: u64,
        repositories: usize,
        make: impl FnOnce() -> Body,
    ) -> Body {
        let place = match lists {
            Lists::Whole => &mut self.whole,
            Lists::LeftOut => &mut self.summary,
        };
        if let Some((body, made)) = place {
            let fresh = body.id.version == version;
            let huge = lists == Lists::Whole && repositories >= HUGE;
            if fresh || huge && made.elapsed() < HUGE_INTERVAL {
                return body.clone();
            }
        }
        let body = make();
        *place = Some((body.clone(), Instant::now()));
        body
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, EventId};
    use crate::{
        live::{LiveJob, board::Board},
        model::progress::{self, JobFacts, Lists, ProgressDocument},
    };
    use chrono::Utc;
    use std::sync::Arc;

    #[test]
    fn the_pieces_make_the_document_that_is_described() {
        let job = LiveJob::new("a".parse().unwrap(), Arc::new(Board::new(1)));
        let facts: JobFacts = job.facts();
        for lists in [Lists::Whole, Lists::LeftOut] {
            let none = std::iter::empty();
            let head = progress::head(&facts, None, &none, lists);
            let tail = progress::tail(&facts, None, none, Vec::new(), 7, Utc::now());
            let spliced = Body::new(&head, &tail, EventId { epoch: 1, version: 7 }, &facts);
            let whole = ProgressDocument { head, elapsed_time_seconds: 0, tail };
            let whole = serde_json::to_string(&whole).unwrap();
            assert_eq!(String::from_utf8_lossy(&spliced.bytes(Utc::now())), whole);
            assert_eq!(whole.contains("pending_repositories"), lists == Lists::Whole);
        }
    }
}
