//! The stream below a `WebSocket`, which counts the frames of the client.
//!
//! Input: the bytes of both directions. Output: the same bytes; nothing to read while a write is
//! pending; an error once the client has sent more frames than allowed.
//!
//! Invariants: a ping is not read before the previous pong has been written to the kernel, so that
//! pongs do not accumulate for a client that does not read; frames are charged to a budget
//! ([`FrameBudget`], as those of HTTP/2), however they are split and of whatever kind they are.

use crate::api::connections::h2_flood_guard::{Flood, FrameBudget};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// The maximum size of a frame header (RFC 6455, section 5.2): two bytes, the length, the mask.
const HEAD: usize = 14;

/// A stream whose incoming frames are counted.
#[derive(Debug)]
pub(super) struct CountedStream<S> {
    inner: S,
    frames: Frames,
    /// Whether a write or a flush waits for the client.
    waits: bool,
}

/// Counts incoming frames.
#[derive(Debug)]
struct Frames {
    place: FramePosition,
    budget: FrameBudget,
}

/// The position of the next byte within a frame.
#[derive(Debug)]
enum FramePosition {
    /// This many bytes of a frame header have arrived.
    Head(usize, [u8; HEAD]),
    /// This many bytes of the payload are still to arrive.
    Content(u64),
}

impl Frames {
    fn new(now: Instant) -> Self {
        Self { place: FramePosition::Head(0, [0; HEAD]), budget: FrameBudget::new(now) }
    }

    fn take(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.place {
                FramePosition::Head(come, head) => {
                    head[*come] = *first;
                    *come += 1;
                    bytes = rest;
                    if let Some(length) = content_after(&head[..*come]) {
                        self.budget.count(now)?;
                        self.place = FramePosition::Content(length);
                    }
                }
                FramePosition::Content(left) => {
                    let more = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= more as u64;
                    bytes = &bytes[more..];
                }
            }
            if let FramePosition::Content(0) = self.place {
                self.place = FramePosition::Head(0, [0; HEAD]);
            }
        }
        Ok(())
    }
}

/// The length of the payload after a frame header, if the header is complete.
fn content_after(head: &[u8]) -> Option<u64> {
    let (code, masked) = (head.get(1)? & 0x7f, head[1] & 0x80 != 0);
    let extended = match code {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if head.len() < 2 + extended + if masked { 4 } else { 0 } {
        return None;
    }
    let number = head[2..2 + extended].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Some(if extended == 0 { u64::from(code) } else { number })
}

impl<S> CountedStream<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, frames: Frames::new(Instant::now()), waits: false }
    }

    /// The inner stream.
    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, frames, waits } = self.get_mut();
        if *waits {
            // The writing task is woken when the client reads, and then reads again.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(inner).poll_read(context, buffer))?;
        let flood = |flood| io::Error::new(io::ErrorKind::InvalidData, flood);
        Poll::Ready(frames.take(&buffer.filled()[before..], Instant::now()).map_err(flood))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, waits, .. } = self.get_mut();
        let outcome = Pin::new(inner).poll_write(context, bytes);
        *waits = outcome.is_pending();
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { inner, waits, .. } = self.get_mut();
        let outcome = Pin::new(inner).poll_flush(context);
        *waits = outcome.is_pending();
        outcome
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connections::h2_flood_guard::BUDGET;
    use futures_util::{FutureExt, StreamExt};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, duplex, join};
    use tokio_tungstenite::{
        WebSocketStream,
        tungstenite::protocol::{Role, WebSocketConfig},
    };

    const PING: u8 = 0x89;
    const TEXT: u8 = 0x81;

    /// A frame with a mask of zeros.
    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![kind];
        match length {
            0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..0x1_0000 => {
                bytes.push(0x80 | 0x7e);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 0x7f);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + length, 0);
        bytes
    }

    #[test]
    fn frames_are_counted_however_their_bytes_are_cut() {
        let now = Instant::now();
        let mut bytes = Vec::new();
        for number in 0..BUDGET as usize {
            let length =
                [0, 1, 125, 126, 300, 70_000][if number % 100 == 0 { 5 } else { number % 5 }];
            bytes.extend(frame(if number % 2 == 0 { PING } else { TEXT }, length));
        }
        for size in [1, 2, 13, 14, 15, 4096, bytes.len()] {
            let mut frames = Frames::new(now);
            for piece in bytes.chunks(size) {
                assert_eq!(frames.take(piece, now), Ok(()), "in pieces of {size}");
            }
            assert_eq!(frames.take(&frame(PING, 0), now), Err(Flood), "in pieces of {size}");
        }
        let mut frames = Frames::new(now);
        frames.take(&bytes, now).unwrap();
        let later = now + Duration::from_secs(1);
        let more = (0..200).take_while(|_| frames.take(&frame(PING, 0), later).is_ok()).count();
        assert_eq!(more, 100, "a hundred a second");
    }

    #[tokio::test]
    async fn nothing_is_read_while_pongs_wait() {
        // The client reads two pongs of 125 bytes, and not a third.
        let pings = frame(PING, 125).repeat(1000);
        let (ours, mut theirs) = duplex(300);
        let line = CountedStream::new(join(pings.as_slice(), ours));
        let small = WebSocketConfig::default().read_buffer_size(512).write_buffer_size(0);
        let mut socket = WebSocketStream::from_raw_socket(line, Role::Server, Some(small)).await;
        let mut read = 0;
        while let Some(Some(Ok(_))) = socket.next().now_or_never() {
            read += 1;
        }
        assert!(read < 20, "{read} pings were read while no pong was taken");
        // Reading continues once they are read.
        let mut space = [0; 127];
        theirs.read_exact(&mut space).await.unwrap();
        assert_eq!(space[..2], [0x8a, 125]);
        assert!(socket.next().now_or_never().is_some(), "it does not go on");
    }
}
