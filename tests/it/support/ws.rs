//! A raw `WebSocket` (RFC 6455): it shows each frame as it arrived, and sends what no well-behaved
//! client would.

use super::{raw::RawAnswer, wait::PATIENCE};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The example of RFC 6455, section 1.3: a key, and the expected reply.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The most bytes of a server frame.
const LONGEST_FRAME: u64 = 16 << 10;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// An open socket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: TcpStream,
}

/// One frame from the server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Text(Value),
    Ping,
    Pong(Vec<u8>),
    /// With its code.
    Close(Option<u16>),
    /// The connection has ended.
    Ended,
}

/// The headers with which a socket is opened.
pub(crate) fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
}

impl WebSocket {
    /// Opens a socket.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let socket = Self::with_headers(address, path, "").await;
        socket.unwrap_or_else(|answer| panic!("{path} was not opened: {answer:?}"))
    }

    /// Opens a socket with more headers, each with its line end; otherwise returns the answer.
    pub(crate) async fn with_headers(
        address: SocketAddr,
        path: &str,
        more: &str,
    ) -> Result<Self, RawAnswer> {
        let request = upgrade(path, more);
        let socket = TcpSocket::new_v4().unwrap();
        // A small window: the server's buffers soon fill.
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, stream.read_u8()).await.expect("an answer");
            head.push(byte.expect("a whole head"));
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = RawAnswer { status, head, body: String::new() };
        if status == 101 {
            assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT), "{answer:?}");
            return Ok(Self { stream });
        }
        let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
        Err(answer)
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        timeout(PATIENCE, self.read()).await.expect("there is a next frame").unwrap_or(Frame::Ended)
    }

    /// The next message, which must be one.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            match self.next().await {
                Frame::Text(message) => return message,
                Frame::Ping | Frame::Pong(_) => {}
                end => panic!("no message, but {end:?}"),
            }
        }
    }

    /// All messages, and the frame that follows the last.
    pub(crate) async fn rest(&mut self) -> (Vec<Value>, Frame) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Frame::Text(message) => messages.push(message),
                Frame::Ping | Frame::Pong(_) => {}
                end => return (messages, end),
            }
        }
    }

    /// The next frame, or the next message if that comes in several.
    async fn read(&mut self) -> std::io::Result<Frame> {
        let (first, mut payload) = self.read_frame().await?;
        let kind = first & 0x0f;
        let mut is_whole = first & 0x80 != 0;
        while !is_whole {
            assert_eq!(kind & 8, 0, "a control frame is one");
            let (first, more) = self.read_frame().await?;
            assert_eq!(first & 0x0f, CONTINUATION, "the parts of a message follow each other");
            payload.extend(more);
            is_whole = first & 0x80 != 0;
        }
        Ok(match kind {
            TEXT => Frame::Text(serde_json::from_slice(&payload).expect("messages are JSON")),
            CLOSE => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            PING => Frame::Ping,
            PONG => Frame::Pong(payload),
            other => panic!("a frame of kind {other}"),
        })
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        assert_eq!(first & 0x70, 0, "there are no extensions");
        let length = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            short => u64::from(short),
        };
        assert!(length <= LONGEST_FRAME, "a frame of {length} bytes");
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        Ok((first, payload))
    }

    /// Sends bytes unchanged, until the server accepts no more; returns whether all were sent.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes()).await;
    }

    pub(crate) async fn send_ping(&mut self, payload: &[u8]) {
        self.send(PING, payload).await;
    }

    pub(crate) async fn send_close(&mut self, code: u16) {
        self.send(CLOSE, &code.to_be_bytes()).await;
    }

    /// Sends a frame. The mask is zero, which leaves the payload unchanged.
    async fn send(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | kind, 0xfe];
        frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        if payload.len() < 126 {
            frame = vec![0x80 | kind, 0x80 | u8::try_from(payload.len()).unwrap()];
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        // The server may have closed already: what it sent before can still be read.
        let _ = self.stream.write_all(&frame).await;
    }
}
