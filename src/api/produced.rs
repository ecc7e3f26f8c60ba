//! Bodies that are produced piece by piece on a pool's threads, as their readers take them.
//!
//! Input: a [`Producer`], which blocks. Output: an answer: whole where it fits into one piece, else a
//! stream.
//!
//! Invariants:
//! - A piece is produced when the one before has been taken, so a reader costs a piece or two; one that
//!   takes nothing holds no thread.
//! - When the reader leaves, [`Left`] says so, and the work ends at its next look.
//! - An answer ends early with its user's rights and with the server, at once; whatever ends early
//!   breaks off, and does not look whole.

use super::{
    ApiError,
    auth::User,
    desk::{Reading, Seat},
    state::Api,
    streamed::{BrokenOff, Piece, streamed},
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

/// The most bytes that are handed to a connection at once.
pub(super) const PIECE: usize = 32 << 10;

/// How long a reader may take for a piece while others wait for its seat.
const PATIENCE: Duration = Duration::from_millis(250);

/// What makes the pieces of a body.
pub(super) trait Producer: Send + 'static {
    /// Adds the next piece, of about [`PIECE`] bytes, or nothing where there was much to do and nothing to
    /// say yet; says whether there is more. Blocks.
    fn produce(&mut self, piece: &mut Vec<u8>) -> Result<bool, BrokenOff>;
}

/// Whether an answer about a job is of any more use.
#[derive(Debug, Clone)]
pub(super) struct Left {
    token: CancellationToken,
    live: Arc<Live>,
    job: Arc<LiveJob>,
}

impl Left {
    /// Of an answer about this job. Dropping the guard says that the reader has left.
    pub(super) fn of(api: &Api, job: &Arc<LiveJob>) -> (Self, DropGuard) {
        let token = api.shutdown.child_token();
        let (live, job) = (Arc::clone(&api.live), Arc::clone(job));
        (Self { token: token.clone(), live, job }, token.drop_guard())
    }

    /// Whether the reader has left, the server stops, or the job was removed.
    pub(super) fn has_left(&self) -> bool {
        // A job of this id that was made since is another.
        let is_there =
            || self.live.get(self.job.id()).is_some_and(|job| Arc::ptr_eq(&job, &self.job));
        self.token.is_cancelled() || !is_there()
    }
}

/// What an answer needs besides its producer.
pub(super) struct Terms {
    pub(super) pool: Pool,
    /// Over when the answer may not go on.
    pub(super) until: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Owns what works on it.
    tasks: TaskTracker,
    /// Says with its end that the reader has left.
    pub(super) guard: Option<DropGuard>,
    /// What is given back at the end.
    pub(super) reading: Option<Reading>,
}

impl Terms {
    /// For an answer that reads with this pool for this user.
    pub(super) fn new(api: &Api, pool: &Pool, user: &User) -> Self {
        let (stop, revoked) = (api.shutdown.clone(), user.revoked());
        let until = Box::pin(async move {
            stop.run_until_cancelled(revoked).await;
        });
        let tasks = api.reads.tasks.clone();
        Self { pool: pool.clone(), until, tasks, guard: None, reading: None }
    }

    pub(super) fn with(mut self, guard: DropGuard, reading: Reading) -> Self {
        (self.guard, self.reading) = (Some(guard), Some(reading));
        self
    }
}

/// The answer of a producer, of which the first piece is made before there is an answer: so it can still be an
/// error.
pub(super) async fn produced(
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
            Err(BrokenOff) => return Err(None),
        }
    }
    Ok(streamed(pieces(terms, producer, first.into()), media_type))
}

/// What comes before and behind the items of a list, which is empty in this JSON object. No text in it can be
/// taken for the list: it would have its quotes escaped.
pub(super) fn around(list: &str, object: &str) -> [String; 2] {
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

/// The error of an answer about a job that broke off before it began.
pub(super) fn unread(api: &Api, id: &JobId) -> ApiError {
    if api.live.get(id).is_none() {
        return ApiError::JobNotFound;
    }
    ApiError::Unavailable { detail: "The results cannot be read now".into(), retry_after: Some(5) }
}

type Step<P> = (P, Vec<u8>, Result<bool, BrokenOff>);

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

struct Under<P> {
    terms: Terms,
    producer: Option<P>,
    /// What was made and not yet handed over.
    rest: Bytes,
}

fn pieces<P: Producer>(
    terms: Terms,
    producer: P,
    first: Bytes,
) -> impl Stream<Item = Piece> + Send + 'static {
    let under = Under { terms, producer: Some(producer), rest: first };
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
                () = &mut under.terms.until => return Some((Err(BrokenOff), None)),
                done = step => done,
            };
            let Ok((producer, piece, Ok(more))) = done else {
                return Some((Err(BrokenOff), None));
            };
            under.rest = piece.into();
            under.producer = more.then_some(producer);
        }
    })
}

/// The answer that is a document. It holds a seat while it is worked on; a reader that takes nothing while
/// others wait gives it up, and gets one again when it reads on.
pub(super) async fn seated(
    mut terms: Terms,
    document: Document<'static>,
    media_type: &'static str,
) -> Result<Response, Option<ApiError>> {
    let Some(reading) = terms.reading.take() else { return Err(None) };
    let mut work = Seated { pool: terms.pool.clone(), reading, seat: None, document };
    let (first, more) = tokio::select! {
        () = &mut terms.until => return Err(None),
        made = work.piece() => made.ok_or(None)?,
    };
    if !more {
        return Ok(whole(first, media_type));
    }
    let (sender, pieces) = mpsc::channel(1);
    let (until, guard) = (terms.until, terms.guard);
    // It ends when the receiver is dropped, at the latest with `until`.
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
                None => return Some((Err(BrokenOff), (None, rest, guard))),
            };
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        Some((Ok(piece), (Some(pieces), rest, guard)))
    });
    Ok(streamed(pieces.boxed(), media_type))
}

struct Seated {
    pool: Pool,
    reading: Reading,
    seat: Option<Seat>,
    document: Document<'static>,
}

impl Seated {
    /// The next piece, which is empty at the end alone, and whether there is more. None where there is
    /// nothing more to be had.
    async fn piece(&mut self) -> Option<(Bytes, bool)> {
        if self.seat.is_none() {
            self.seat = Some(self.reading.seat().await?);
        }
        loop {
            // Taken back below; where it is lost, so is the answer.
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

    /// Sends all pieces, and `None` behind the last.
    async fn run(mut self, first: Bytes, more: bool, to: mpsc::Sender<Option<Bytes>>) {
        let (mut piece, mut more) = (first, more);
        loop {
            let room = tokio::select! {
                room = to.reserve() => room,
                () = is_in_the_way(&self.reading) => {
                    self.document.free_memory();
                    self.seat = None;
                    to.reserve().await
                }
            };
            let Ok(room) = room else { return };
            room.send(Some(std::mem::take(&mut piece)));
            if !more {
                // Refused only where nobody reads.
                let _ = to.send(None).await;
                return;
            }
            let Some(next) = self.piece().await else { return };
            (piece, more) = next;
        }
    }
}

/// Waits until a reader has taken its time while others wait for its seat.
async fn is_in_the_way(reading: &Reading) {
    sleep(PATIENCE).await;
    reading.others_wait().await;
}
