//! Answers that are sent while they are made: pieces come in, an answer goes out whose body ends
//! with them.
//!
//! What must stay true: a piece is made when the last one has been taken, so nothing is gathered
//! for a slow peer; nothing on the way is to hold back, keep or change what it brings; one that
//! cannot be finished breaks off, and does not look whole.

use bytes::Bytes;
use futures_util::Stream;
use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};
use warp::{
    Reply,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    reply::Response,
};

/// An answer that was begun and cannot be finished.
#[derive(Debug, thiserror::Error)]
#[error("what was being sent is gone")]
pub(super) struct BrokenOff;

/// What is sent at once; after an error nothing more is.
pub(super) type Piece = Result<Bytes, BrokenOff>;

/// An answer of these pieces, empty ones left out.
pub(super) fn streamed(
    pieces: impl Stream<Item = Piece> + Send + 'static,
    media_type: &'static str,
) -> Response {
    let body = Pieces { inner: Mutex::new(Box::pin(pieces)) };
    let mut response = warp::reply::stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies of the nginx kind would hold pieces back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The server wants streams that can be shared between threads. This one is only ever polled
/// through `&mut`, so the lock is never taken.
struct Pieces {
    inner: Mutex<Pin<Box<dyn Stream<Item = Piece> + Send>>>,
}

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let inner = self.get_mut().inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            let piece = ready!(inner.as_mut().poll_next(context));
            if !matches!(&piece, Some(Ok(bytes)) if bytes.is_empty()) {
                return Poll::Ready(piece);
            }
        }
    }
}
