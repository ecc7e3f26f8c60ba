//! Raw HTTP, for what no well-behaved client would send: paths that climb, bodies with a wrong
//! length, headers that never end.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// The answer.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawAnswer {
    /// A header's value; the last one, if there are several.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }
}

/// Sends bytes unchanged and reads one answer; `None` if the server closed the connection without
/// one, or stayed silent for longer than `patience`.
pub(crate) async fn exchange(
    address: SocketAddr,
    request: &[u8],
    patience: Duration,
) -> Option<RawAnswer> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut reader, mut writer) = stream.into_split();
    let mut received = Vec::new();
    let write = async {
        // The server may answer and close before it has read everything.
        let _ = writer.write_all(request).await;
    };
    let read = async {
        loop {
            if let Some(answer) = parse(&received, Ending::Open) {
                return Some(answer);
            }
            match reader.read_buf(&mut received).await {
                Ok(0) | Err(_) => return parse(&received, Ending::HungUp),
                Ok(_) => {}
            }
        }
    };
    let both = async {
        tokio::pin!(write, read);
        let mut written = false;
        loop {
            tokio::select! {
                () = &mut write, if !written => written = true,
                answer = &mut read => return answer,
            }
        }
    };
    timeout(patience, both).await.ok().flatten()
}

/// A connection that is kept for several requests.
#[derive(Debug)]
pub(crate) struct KeptConnection(TcpStream);

impl KeptConnection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the server takes connections"))
    }

    /// Requests a path with an `Authorization` header, on the same connection each time.
    pub(crate) async fn get(&mut self, path: &str, authorization: &str) -> RawAnswer {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\r\n"
        );
        let talk = async {
            self.0.write_all(request.as_bytes()).await.expect("the connection stands");
            let mut received = Vec::new();
            loop {
                if let Some(answer) = parse(&received, Ending::Open) {
                    return answer;
                }
                let read = self.0.read_buf(&mut received).await.expect("the connection stands");
                assert!(read > 0, "the server hung up");
            }
        };
        timeout(super::wait::PATIENCE, talk).await.expect("an answer comes")
    }
}

/// A request for `target`, spelled as given, without a body.
pub(crate) fn request(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").into()
}

/// Sends `opening`, then `drip` once a second, and returns how long it took the server to close the
/// connection; `None` if it was still open after `patience`.
pub(crate) async fn closed_after(
    address: SocketAddr,
    opening: &[u8],
    drip: &[u8],
    patience: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mut buffer = [0; 1024];
    let conversation = async {
        if stream.write_all(opening).await.is_err() {
            return;
        }
        loop {
            match timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return,
                Err(_) if stream.write_all(drip).await.is_err() => return,
                // Still open; a message before the end, such as a 408, is welcome.
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    };
    timeout(patience, conversation).await.ok().map(|()| began.elapsed())
}

#[derive(Clone, Copy)]
enum Ending {
    Open,
    HungUp,
}

fn parse(received: &[u8], ending: Ending) -> Option<RawAnswer> {
    let split = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = RawAnswer { status, head, body: String::new() };
    let rest = &received[split + 4..];
    let chunked = answer.header("transfer-encoding").is_some_and(|text| text.contains("chunked"));
    let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
    let complete = match (chunked, length) {
        _ if matches!(status, 204 | 304) => true,
        (true, _) => rest.ends_with(b"0\r\n\r\n"),
        (false, Some(length)) => rest.len() >= length,
        (false, None) => false,
    };
    if !complete && matches!(ending, Ending::Open) {
        return None;
    }
    let body = if chunked { unchunked(rest) } else { rest.to_vec() };
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Some(answer)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).unwrap_or("0");
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let chunk = &rest[end + 2..];
        if size == 0 || chunk.len() < size + 2 {
            break;
        }
        body.extend_from_slice(&chunk[..size]);
        rest = &chunk[size + 2..];
    }
    body
}
