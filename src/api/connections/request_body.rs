//! The body of a request, with a deadline and a size limit.
//!
//! Input: hyper's body. Output: the same frames, or an error when the deadline or the limit is
//! exceeded.
//!
//! Invariants: the whole body has to arrive within the timeout after its headers, however slowly
//! the handler reads; a body that nobody reads needs no timer; unread data is noted, because it
//! determines how the socket is closed.

use super::activity::Activity;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a body is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body did not arrive before the deadline.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The body exceeds this many bytes.
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
    /// Created when a frame is waited for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    limit: u64,
    left: u64,
    /// Whether the end was read: hyper does not report that for a chunked body.
    ended: bool,
    activity: Arc<Activity>,
}

impl RequestBody {
    pub(crate) fn new(
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
            // A client that keeps sending slowly would never let the timer be polled.
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
