//! Answers on their way out: a body comes in, the same body goes out, and what of it the peer has yet to take
//! is known.
//!
//! In HTTP/1 a peer that takes nothing fills its socket, and the socket's own timer has it. In HTTP/2 it
//! can keep the socket empty and its windows shut: then the answer lies here, and its job's whole
//! document with it. So there each piece that was handed over is timed, until its last byte is
//! written, and so is the pause until the next piece is asked for.
//!
//! What must stay true: what waits for us, an event or the disk, is no fault of the peer's.

use super::connection::UnderWay;
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    collections::HashMap,
    io::IoSlice,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// What a connection's peer has yet to take.
#[derive(Debug, Default)]
pub(super) struct Untaken(Mutex<Waits>);

/// Since when each thing has not moved.
#[derive(Debug, Default)]
struct Waits {
    next: u64,
    since: HashMap<u64, Instant>,
}

impl Untaken {
    /// For how long the peer has taken nothing of something; none if there is nothing to take.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.waits().since.values().min().map(Instant::elapsed)
    }

    fn begin(self: &Arc<Self>) -> Wait {
        let mut waits = self.waits();
        let number = waits.next;
        waits.next += 1;
        waits.since.insert(number, Instant::now());
        Wait { untaken: Arc::clone(self), number }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that waits for the peer, until this is dropped.
#[derive(Debug)]
struct Wait {
    untaken: Arc<Untaken>,
    number: u64,
}

impl Wait {
    /// The peer has taken a part of it.
    fn moved(&self) {
        self.untaken.waits().since.insert(self.number, Instant::now());
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.untaken.waits().since.remove(&self.number);
    }
}

/// The body of an answer that is under way.
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    body: B,
    /// Where there is something to time.
    untaken: Option<Arc<Untaken>>,
    /// The next piece is still to be asked for.
    unasked: Option<Wait>,
    _under_way: UnderWay,
}

impl<B> Outgoing<B> {
    pub(super) fn new(body: B, untaken: Option<Arc<Untaken>>, under_way: UnderWay) -> Self {
        let unasked = untaken.as_ref().map(Untaken::begin);
        Self { body, untaken, unasked, _under_way: under_way }
    }
}

impl<B: Body + Unpin> Body for Outgoing<B> {
    type Data = Piece<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        self.unasked = None;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let begin = || self.untaken.as_ref().map(Untaken::begin);
        let unasked = if frame.is_some() { begin() } else { None };
        let frame = frame
            .map(|result| result.map(|frame| frame.map_data(|data| Piece { data, wait: begin() })));
        self.unasked = unasked;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of a body.
#[derive(Debug)]
pub(super) struct Piece<D> {
    data: D,
    wait: Option<Wait>,
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
        if let Some(wait) = &self.wait {
            wait.moved();
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let bytes = self.data.copy_to_bytes(length);
        if let Some(wait) = &self.wait {
            wait.moved();
        }
        bytes
    }
}
