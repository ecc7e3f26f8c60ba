//! HTTP/2 frame by frame, for what no well-behaved client would send (RFC 9113, RFC 7541): frames
//! as bytes, and a peer that sends them endlessly.

use super::wait::PATIENCE;
use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The setting of a stream's window.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The start of a connection: the preface, and settings by number.
pub(crate) fn opening(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()
}

/// The header block of a request, every field a literal that is not indexed.
pub(crate) fn block(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own =
        [(":method", method), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path)];
    own.iter().chain(more).flat_map(|(name, value)| literal(0, name, value)).collect()
}

/// A field by its text; `kind` 0x40 has it indexed.
pub(crate) fn literal(kind: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![kind];
    for text in [name, value] {
        // A number with a prefix of seven bits.
        let mut length = text.len();
        if length < 127 {
            bytes.push(u8::try_from(length).expect("less than 127"));
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push(u8::try_from(length % 128).expect("less than 128") | 128);
                length /= 128;
            }
            bytes.push(u8::try_from(length).expect("less than 128"));
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// A whole request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", path, &[]))
}

/// A frame that was received.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// How a connection went on.
#[derive(Debug)]
pub(crate) struct Course {
    /// When the server closed it; none if it did not.
    pub(crate) ended: Option<Duration>,
    /// Frames that were sent to the server.
    pub(crate) sent: u64,
    /// The frames that the server sent, of each kind.
    pub(crate) heard: [u64; 256],
    /// The reason of the server's GOAWAY, by number.
    pub(crate) goaway: Option<u32>,
}

/// Takes frames from the received bytes; an incomplete frame stays.
pub(crate) fn take_frame(received: &mut Vec<u8>) -> Option<Frame> {
    let head = received.get(..9)?;
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    let length = number(&head[..3]) as usize;
    let (kind, flags, stream) = (head[3], head[4], number(&head[5..9]) & 0x7fff_ffff);
    let payload = received.get(9..9 + length)?.to_vec();
    received.drain(..9 + length);
    Some(Frame { kind, flags, stream, payload })
}

/// Sends `opening`, then what `next` returns until that is nothing, reads all the while, and goes
/// on until the server closes the connection or `patience` ends. `next` gets what has been received
/// so far.
pub(crate) async fn send_on(
    line: impl AsyncRead + AsyncWrite,
    opening: Vec<u8>,
    patience: Duration,
    mut next: impl FnMut(u64) -> Vec<u8>,
) -> Course {
    let began = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(line);
    let mut course = Course { ended: None, sent: 0, heard: [0; 256], goaway: None };
    let sent = &mut course.sent;
    let write = async {
        writer.write_all(&opening).await?;
        loop {
            let bytes = next(*sent);
            if bytes.is_empty() {
                return io::Result::Ok(());
            }
            writer.write_all(&bytes).await?;
            *sent += 1;
        }
    };
    let (heard, goaway) = (&mut course.heard, &mut course.goaway);
    let read = async {
        let mut received = Vec::new();
        while reader.read_buf(&mut received).await.is_ok_and(|count| count > 0) {
            while let Some(frame) = take_frame(&mut received) {
                heard[usize::from(frame.kind)] += 1;
                if frame.kind == GOAWAY {
                    let code = frame.payload[4..8].try_into().expect("four bytes");
                    *goaway = Some(u32::from_be_bytes(code));
                }
            }
        }
    };
    let both = async {
        tokio::pin!(write, read);
        let mut writing = true;
        loop {
            tokio::select! {
                // A connection that accepts no more may still send something.
                _ = &mut write, if writing => writing = false,
                () = &mut read => return began.elapsed(),
            }
        }
    };
    let ended = timeout(patience, both).await.ok();
    course.ended = ended;
    course
}

/// A connection for waiting on single frames.
#[derive(Debug)]
pub(crate) struct H2Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl H2Connection {
    /// Connects, and starts with these settings.
    pub(crate) async fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server takes connections");
        stream.set_nodelay(true).expect("a connection");
        let mut line = Self { stream, received: Vec::new() };
        line.send(&opening(settings)).await.expect("the connection stands");
        line
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame; none once the server has closed the connection. Its pings are answered, or
    /// it would take this for a dead connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(heard) = take_frame(&mut self.received) {
                if (heard.kind, heard.flags & ACK) == (PING, 0) {
                    let _ = self.send(&frame(PING, ACK, 0, &heard.payload)).await;
                }
                return Some(heard);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await;
            if read.expect("the server says or does something").unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame of this kind and stream; others are skipped.
    pub(crate) async fn next_of(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Some(frame);
            }
        }
    }
}
