//! The body of an answer, which measures how long the client does not read it.
//!
//! Over HTTP/1 a client that does not read fills its socket, and the write timeout of the socket
//! applies. Over HTTP/2 the client can keep the socket empty and its flow-control window closed:
//! the answer, and with it the job's whole document, then stays in memory. So over HTTP/2 each
//! piece is timed from the moment it is handed to hyper until its last byte is written, and so is
//! the pause until the next piece is requested.
//!
//! Input: a body. Output: the same body, and [`PendingWrites`].
//!
//! Invariants: time that the server itself needs, for an event or for the disk, is not counted
//! against the client.

use super::activity::{PendingWrites, UnderWay, Wait};
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    io::IoSlice,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The body of an answer that is being sent.
#[derive(Debug)]
pub(crate) struct ResponseBody<B> {
    body: B,
    /// `None` over HTTP/1, where the socket measures.
    pending_writes: Option<Arc<PendingWrites>>,
    /// Pending until hyper requests the next piece.
    unasked: Option<Wait>,
    _under_way: UnderWay,
}

impl<B> ResponseBody<B> {
    pub(crate) fn new(
        body: B,
        pending_writes: Option<Arc<PendingWrites>>,
        under_way: UnderWay,
    ) -> Self {
        let unasked = pending_writes.as_ref().map(PendingWrites::begin);
        Self { body, pending_writes, unasked, _under_way: under_way }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = Piece<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        self.unasked = None;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let begin = || self.pending_writes.as_ref().map(PendingWrites::begin);
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
pub(crate) struct Piece<D> {
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
            wait.progressed();
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let bytes = self.data.copy_to_bytes(length);
        if let Some(wait) = &self.wait {
            wait.progressed();
        }
        bytes
    }
}
