//! The body of a request, with a deadline and a limit: hyper's body comes in, the same frames go
//! out until either is passed.
//!
//! What must stay true: the whole body arrives within the time that counts from its headers,
//! however slowly its reader reads; a body that nobody reads costs no timer; whether something was
//! left unread is noted, for the socket's end.

use super::connection::Activity;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It took too long.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// It has more than this many bytes.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
    /// The connection failed.
    #[error("cannot read the body")]
    Connection(#[source] hyper::Error),
}

/// The body of a request that came through [`serve`](super::server::serve).
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    deadline: Instant,
    /// Made when the first frame is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    limit: u64,
    left: u64,
    /// Whether the reader has seen the end: hyper does not say so of a chunked body.
    ended: bool,
    activity: Arc<Activity>,
}

impl RequestBody {
    pub(super) fn new(
        inner: Incoming,
        timeout: Duration,
        limit: u64,
        activity: Arc<Activity>,
    ) -> Self {
        let deadline = Instant::now() + timeout;
        Self { inner, deadline, timer: None, limit, left: limit, ended: false, activity }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(this.deadline)));
            ready!(timer.as_mut().poll(context));
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        };
        Poll::Ready(match frame {
            None => {
                this.ended = true;
                None
            }
            Some(Err(error)) => Some(Err(BodyError::Connection(error))),
            // A sender that is never quite silent would never be waited for.
            Some(Ok(_)) if Instant::now() > this.deadline => Some(Err(BodyError::TimedOut)),
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(BodyError::TooLarge(this.limit))),
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.activity.note_unread();
        }
    }
}
