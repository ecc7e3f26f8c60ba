//! Answers whose body is sent while it is generated.
//!
//! Input: a stream of pieces. Output: an answer with these pieces as its body.
//!
//! Invariants: a piece is generated when the one before has been taken, so nothing accumulates for
//! a slow client; the headers tell proxies neither to buffer, store nor transform the body; a body
//! that cannot be completed is aborted and never looks complete.

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

/// An answer that was started but cannot be completed.
#[derive(Debug, thiserror::Error)]
#[error("the answer was aborted: its source is gone or changed")]
pub(crate) struct Aborted;

/// A piece of a body; nothing follows an error.
pub(crate) type Piece = Result<Bytes, Aborted>;

/// An answer with these pieces as its body; empty pieces are skipped.
pub(crate) fn streamed(
    pieces: impl Stream<Item = Piece> + Send + 'static,
    media_type: &'static str,
) -> Response {
    let body = Pieces { inner: Mutex::new(Box::pin(pieces)) };
    let mut response = warp::reply::stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx would otherwise buffer the pieces.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// warp requires a `Sync` stream. The stream is only polled through `&mut`, so the lock is never
/// taken.
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
