//! The socket of a connection, with a write timeout and a lingering close.
//!
//! Input: bytes of both directions. Output: the same bytes; an error when the peer does not read
//! for too long; a close that lets the peer read the last answer.
//!
//! Invariants: the socket holds the permit of its connection, so that the permit is released when
//! the socket is closed and not before, also after an upgrade to a `WebSocket`; a write never
//! waits forever; an answer that was sent before the request was read completely still arrives.

use super::{activity::Activity, request_metrics::OpenConnection};
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

/// How long, and for how many bytes, a closing connection continues to read. Closing a socket with
/// unread bytes sends a reset, which destroys an answer that the peer has not read yet.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// The socket of an accepted connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    _open: OpenConnection,
    activity: Arc<Activity>,
    write_timeout: Duration,
    /// The write timeout, which runs while the peer does not read.
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
    pub(crate) fn new(
        stream: TcpStream,
        permit: OwnedSemaphorePermit,
        open: OpenConnection,
        activity: Arc<Activity>,
        write_timeout: Duration,
    ) -> Self {
        let closing = Closing::Not;
        Self {
            stream,
            _permit: permit,
            _open: open,
            activity,
            write_timeout,
            stalled: None,
            closing,
        }
    }

    /// Peeks at the first byte; `None` if the peer sends none.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let peeked = self.stream.peek(&mut first).await?;
        Ok((peeked > 0).then_some(first[0]))
    }

    /// Notes that received bytes will not be read, so that closing the socket lingers.
    pub(crate) fn leave_unread(&self) {
        self.activity.note_unread();
    }

    /// Passes the outcome of a write on, or an error if the peer did not read for too long.
    fn with_timeout<T>(
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
        self.with_timeout(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.with_timeout(context, outcome)
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

/// Reads and discards once; returns whether reading is done.
fn discard(stream: &mut TcpStream, context: &mut Context<'_>, bytes: &mut usize) -> Poll<bool> {
    let mut space = [0; 4096];
    let mut buffer = ReadBuf::new(&mut space);
    let outcome = ready!(Pin::new(stream).poll_read(context, &mut buffer));
    let read = buffer.filled().len();
    *bytes = bytes.saturating_sub(read);
    Poll::Ready(outcome.is_err() || read == 0 || *bytes == 0)
}
