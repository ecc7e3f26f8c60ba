//! Bodies that pool threads produce piece by piece, as the client reads them.
//!
//! Input: a [`Producer`], which blocks. Output: an answer: complete if it fits into one piece,
//! else a stream.
//!
//! Invariants:
//! - A piece is produced when the one before has been taken, so a client costs a piece or two; one
//!   that does not read occupies no thread.
//! - When the client disconnects, [`Cancellation`] reports it, and the work ends at its next
//!   check.
//! - An answer ends at once when its user is revoked and when the server stops; an answer that
//!   ends early is aborted and never looks complete.

use crate::api::{
    answers::{
        error::ApiError,
        stream_body::{Aborted, Piece, streamed},
    },
    auth::User,
    reads::admission::{MemorySlot, Reading},
    state::Api,
};
use crate::{
    live::{Live, LiveJob},
    model::JobId,
    pool::Pool,
    sbom::Document,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use warp::{
    http::{HeaderValue, header::CONTENT_TYPE},
    reply::Response,
};

/// The maximum size of a piece.
pub(crate) const PIECE: usize = 32 << 10;

/// How long a client may take to read a piece while others wait for its memory slot.
const PATIENCE: Duration = Duration::from_millis(250);

/// Produces the pieces of a body.
pub(crate) trait Producer: Send + 'static {
    /// Appends the next piece, of about [`PIECE`] bytes, or nothing if there is no output yet.
    /// Returns whether there is more. Blocks.
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, Aborted>;
}

/// Whether an answer about a job is no longer needed.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation {
    token: CancellationToken,
    live: Arc<Live>,
    job: Arc<LiveJob>,
}

impl Cancellation {
    /// For an answer about this job. Dropping the guard reports that the client has disconnected.
    pub(crate) fn of(api: &Api, job: &Arc<LiveJob>) -> (Self, DropGuard) {
        let token = api.shutdown.child_token();
        let (live, job) = (Arc::clone(&api.live), Arc::clone(job));
        (Self { token: token.clone(), live, job }, token.drop_guard())
    }

    /// Whether the client has disconnected, the server stops, or the job was removed.
    pub(crate) fn is_cancelled(&self) -> bool {
        // A job that was created later with the same id is another job.
        let is_there = || {
            if self.job.is_archived() {
                return !self.job.is_removed();
            }
            self.live.get(self.job.id()).is_some_and(|job| Arc::ptr_eq(&job, &self.job))
        };
        self.token.is_cancelled() || !is_there()
    }
}

/// The resources and conditions of an answer, besides its producer.
pub(crate) struct Terms {
    pub(crate) pool: Pool,
    /// Completes when the answer must end.
    pub(crate) until: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Owns the tasks that produce the answer.
    tasks: TaskTracker,
    /// Dropped when the client has disconnected.
    pub(crate) guard: Option<DropGuard>,
    /// The admission, which is released at the end.
    pub(crate) reading: Option<Reading>,
}

impl Terms {
    /// For an answer to this user that reads on this pool.
    pub(crate) fn new(api: &Api, pool: &Pool, user: &User) -> Self {
        let (stop, revoked) = (api.shutdown.clone(), user.revoked());
        let until = Box::pin(async move {
            stop.run_until_cancelled(revoked).await;
        });
        let tasks = api.read_pools.tasks.clone();
        Self { pool: pool.clone(), until, tasks, guard: None, reading: None }
    }

    pub(crate) fn with(mut self, guard: DropGuard, reading: Reading) -> Self {
        (self.guard, self.reading) = (Some(guard), Some(reading));
        self
    }
}

/// The answer of a producer. The first piece is produced before the answer starts, so that a
/// failure can still be answered by an error.
pub(crate) async fn produced(
    mut terms: Terms,
    mut producer: impl Producer,
    media_type: &'static str,
) -> Result<Response, Option<ApiError>> {
    let mut first = Vec::new();
    loop {
        let step = step(&terms.pool, producer, first);
        let done = tokio::select! {
            () = &mut terms.until => return Err(None),
            done = step => done.map_err(|lost| Some(lost.into()))?,
        };
        let more;
        (producer, first, more) = done;
        match more {
            Ok(false) => return Ok(whole(first.into(), media_type)),
            Ok(true) if first.is_empty() => {}
            Ok(true) => break,
            Err(Aborted) => return Err(None),
        }
    }
    Ok(streamed(pieces(terms, producer, first.into()), media_type))
}

/// The text before and after the items of a list that is empty in this JSON object. No string in
/// the object can be mistaken for the list, because its quotes are escaped.
pub(crate) fn around(list: &str, object: &str) -> [String; 2] {
    let begin = format!("\"{list}\":[");
    match object.split_once(&format!("{begin}]")) {
        Some((before, behind)) => [format!("{before}{begin}"), format!("]{behind}")],
        None => [object.to_owned(), String::new()],
    }
}

fn whole(bytes: Bytes, media_type: &'static str) -> Response {
    let mut response = Response::new(bytes.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The error of an answer about a job that was aborted before it started.
pub(crate) fn unread(api: &Api, id: &JobId) -> ApiError {
    if api.live.get(id).is_none() && !api.archived.has_moved(id) {
        return ApiError::JobNotFound;
    }
    ApiError::Unavailable { detail: "The results cannot be read now".into(), retry_after: Some(5) }
}

type Step<P> = (P, Vec<u8>, Result<bool, Aborted>);

async fn step<P: Producer>(
    pool: &Pool,
    mut producer: P,
    mut piece: Vec<u8>,
) -> Result<Step<P>, crate::pool::Lost> {
    pool.run(move || {
        let more = producer.produce(&mut piece);
        (producer, piece, more)
    })
    .await
}

struct Producing<P> {
    terms: Terms,
    producer: Option<P>,
    /// The part of the piece that is not handed over yet.
    rest: Bytes,
}

fn pieces<P: Producer>(
    terms: Terms,
    producer: P,
    first: Bytes,
) -> impl Stream<Item = Piece> + Send + 'static {
    let under = Producing { terms, producer: Some(producer), rest: first };
    stream::unfold(Some(under), |under| async move {
        let mut under = under?;
        loop {
            if !under.rest.is_empty() {
                let piece = under.rest.split_to(under.rest.len().min(PIECE));
                return Some((Ok(piece), Some(under)));
            }
            let producer = under.producer.take()?;
            let step = step(&under.terms.pool, producer, Vec::new());
            let done = tokio::select! {
                () = &mut under.terms.until => return Some((Err(Aborted), None)),
                done = step => done,
            };
            let Ok((producer, piece, Ok(more))) = done else {
                return Some((Err(Aborted), None));
            };
            under.rest = piece.into();
            under.producer = more.then_some(producer);
        }
    })
}

/// The answer that is a document. It holds a memory slot while it is generated. If the client does
/// not read while others wait, the slot is released, and acquired again when the client continues.
pub(crate) async fn document_body(
    mut terms: Terms,
    document: Document<'static>,
    media_type: &'static str,
) -> Result<Response, Option<ApiError>> {
    let Some(reading) = terms.reading.take() else { return Err(None) };
    let mut work = DocumentBody { pool: terms.pool.clone(), reading, slot: None, document };
    let (first, more) = tokio::select! {
        () = &mut terms.until => return Err(None),
        made = work.piece() => made.ok_or(None)?,
    };
    if !more {
        return Ok(whole(first, media_type));
    }
    let (sender, pieces) = mpsc::channel(1);
    let (until, guard) = (terms.until, terms.guard);
    // The task ends when the receiver is dropped, at the latest with `until`.
    terms.tasks.spawn(async move {
        tokio::select! {
            () = until => {}
            () = work.run(first, more, sender) => {}
        }
    });
    let pieces = stream::unfold((Some(pieces), Bytes::new(), guard), |state| async move {
        let (pieces, mut rest, guard) = state;
        let mut pieces = pieces?;
        if rest.is_empty() {
            rest = match pieces.recv().await {
                Some(Some(piece)) => piece,
                Some(None) => return None,
                None => return Some((Err(Aborted), (None, rest, guard))),
            };
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        Some((Ok(piece), (Some(pieces), rest, guard)))
    });
    Ok(streamed(pieces.boxed(), media_type))
}

struct DocumentBody {
    pool: Pool,
    reading: Reading,
    slot: Option<MemorySlot>,
    document: Document<'static>,
}

impl DocumentBody {
    /// The next piece, which is empty only at the end, and whether there is more. `None` if the
    /// answer has to be aborted.
    async fn piece(&mut self) -> Option<(Bytes, bool)> {
        if self.slot.is_none() {
            self.slot = Some(self.reading.slot().await?);
        }
        loop {
            // Restored below; if the document is lost, the answer is aborted.
            let mut document = std::mem::take(&mut self.document);
            let done = self.pool.run(move || {
                let mut piece = Vec::new();
                let more = document.piece(&mut piece);
                (document, piece, more)
            });
            let (document, piece, more) = done.await.ok()?;
            self.document = document;
            let more = more.ok()?;
            if !piece.is_empty() || !more {
                return Some((piece.into(), more));
            }
        }
    }

    /// Sends all pieces, then `None`.
    async fn run(mut self, first: Bytes, more: bool, to: mpsc::Sender<Option<Bytes>>) {
        let (mut piece, mut more) = (first, more);
        loop {
            let room = tokio::select! {
                room = to.reserve() => room,
                () = blocks_others(&self.reading) => {
                    self.document.free_memory();
                    self.slot = None;
                    to.reserve().await
                }
            };
            let Ok(room) = room else { return };
            room.send(Some(std::mem::take(&mut piece)));
            if !more {
                // Fails only if the client has disconnected.
                let _ = to.send(None).await;
                return;
            }
            let Some(next) = self.piece().await else { return };
            (piece, more) = next;
        }
    }
}

/// Waits until the client has not read for [`PATIENCE`] and others wait for its slot.
async fn blocks_others(reading: &Reading) {
    sleep(PATIENCE).await;
    reading.others_wait().await;
}
