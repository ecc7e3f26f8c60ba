//! Event streams: what a reader gets, as the chunks of a body of server-sent events (WHATWG HTML,
//! section 9.2).

use super::follow::{Follower, Step};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

/// How long a client is asked to wait before it comes back, in milliseconds.
const RETRY_MILLIS: u64 = 2_000;

/// A stream of chunks of an event stream's body.
pub struct FrameStream {
    // The server wants streams that can be shared between threads. This one is only ever polled
    // through `&mut`, so the lock is never taken.
    inner: Mutex<Pin<Box<dyn Stream<Item = Bytes> + Send>>>,
}

impl std::fmt::Debug for FrameStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrameStream")
    }
}

impl Stream for FrameStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let inner = this.inner.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.as_mut().poll_next(cx).map(|item| item.map(Ok))
    }
}

impl FrameStream {
    /// The body for a reader. The reconnection time goes out at once, also where there is no
    /// event yet: a client sees that it is connected.
    pub fn new<G: Send + 'static>(follower: Follower<G>) -> Self {
        let opening = stream::once(async { Bytes::from(format!("retry: {RETRY_MILLIS}\n\n")) });
        let chunks = stream::unfold(follower, |mut follower| async move {
            let chunk = chunk(follower.next().await)?;
            Some((chunk, follower))
        });
        Self { inner: Mutex::new(Box::pin(opening.chain(chunks))) }
    }
}

/// The bytes of a step; `None` at the end.
fn chunk(step: Step) -> Option<Bytes> {
    match step {
        Step::Send(messages) => {
            let mut chunk = BytesMut::new();
            for message in messages {
                message.write_event(&mut chunk);
            }
            Some(chunk.freeze())
        }
        Step::KeepOpen => Some(Bytes::from_static(b": still here\n\n")),
        Step::End(_) => None,
    }
}
