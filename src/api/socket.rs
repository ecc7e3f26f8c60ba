//! A connection's socket: bytes flow through in both directions; a peer that takes none for too
//! long, and the end of a connection that left something unread, are dealt with here.
//!
//! What must stay true: the socket carries its place among the connections, so that the place is
//! free when the socket is closed and not before, also where a WebSocket has taken it over; a
//! write never waits for ever; an answer that was sent before the request was read arrives.

use super::{connection::Activity, traffic::Open};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};

/// How long, and for how many bytes, a closing connection goes on reading. To close a socket with
/// unread bytes sends a reset, which destroys what the peer has not read yet: our answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// A socket that is in one of the server's places.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    _open: Open,
    activity: Arc<Activity>,
    write_timeout: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    Not,
    Lingering { timer: Pin<Box<Sleep>>, bytes: usize },
    Done,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        place: OwnedSemaphorePermit,
        open: Open,
        activity: Arc<Activity>,
        write_timeout: Duration,
    ) -> Self {
        let closing = Closing::Not;
        Self { stream, _place: place, _open: open, activity, write_timeout, stalled: None, closing }
    }

    /// The first byte that the peer sends, which is still to be read; none if it sends none.
    pub(super) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let peeked = self.stream.peek(&mut first).await?;
        Ok((peeked > 0).then_some(first[0]))
    }

    /// What the peer has sent is not going to be read: the socket is to be closed accordingly.
    pub(super) fn leave_unread(&self) {
        self.activity.note_unread();
    }

    /// Passes a write's outcome on, and an error in its place if the peer took nothing for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.note_stall(None);
            }
            return outcome;
        }
        if self.stalled.is_none() {
            self.activity.note_stall(Some(Instant::now()));
        }
        let timeout = self.write_timeout;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Not => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                    this.closing = if this.activity.left_unread() {
                        Closing::Lingering { timer: Box::pin(sleep(LINGER)), bytes: LINGER_BYTES }
                    } else {
                        Closing::Done
                    };
                }
                Closing::Lingering { timer, bytes } => {
                    let done = timer.as_mut().poll(context).is_ready()
                        || ready!(discard(&mut this.stream, context, bytes));
                    if done {
                        this.closing = Closing::Done;
                    }
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Reads and forgets once; whether that was the last of it.
fn discard(stream: &mut TcpStream, context: &mut Context<'_>, bytes: &mut usize) -> Poll<bool> {
    let mut space = [0; 4096];
    let mut buffer = ReadBuf::new(&mut space);
    let outcome = ready!(Pin::new(stream).poll_read(context, &mut buffer));
    let read = buffer.filled().len();
    *bytes = bytes.saturating_sub(read);
    Poll::Ready(outcome.is_err() || read == 0 || *bytes == 0)
}
