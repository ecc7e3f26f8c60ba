//! The transport between a socket and HTTP, with or without TLS.
//!
//! Input: a socket. Output: the plain bytes of a connection, and whether the client speaks HTTP/2.
//!
//! Invariants: a TLS handshake runs in the task of its own connection, so that a slow one delays
//! nobody else, holds the connection's permit, and has the socket's write timeout; the frames of
//! HTTP/2 are counted (see `h2_flood_guard`) before HTTP sees them; bytes that were read to detect
//! the version of HTTP are part of the first read that follows.

use super::{h2_flood_guard::FloodGuard, socket::Socket};
use crate::api::answers::error::ApiError;
use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The limit of encrypted bytes that wait for the client to read: one and a half TLS records.
const UNSENT: usize = 24 << 10;

/// The connection preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection as HTTP sees it.
#[derive(Debug)]
pub(crate) struct Transport {
    inner: Inner,
    /// Of HTTP/2.
    flood_guard: Option<Box<FloodGuard>>,
    /// Bytes that were read to detect the version, and are not handed over yet.
    begun: Vec<u8>,
}

#[derive(Debug)]
enum Inner {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Performs the TLS handshake, if there is TLS. The caller applies a timeout.
    pub(crate) async fn open(mut socket: Socket, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let on = |inner| Self { inner, flood_guard: None, begun: Vec::new() };
        let Some(tls) = tls else {
            return Ok(on(Inner::Plain(socket)));
        };
        // Every HTTP request starts with an upper-case letter, and no TLS handshake does.
        if socket.first_byte().await?.is_some_and(|byte| byte.is_ascii_uppercase()) {
            socket.write_all(&SPEAK_TLS).await?;
            socket.leave_unread();
            socket.shutdown().await?;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client sent plain HTTP to a TLS port",
            ));
        }
        // Boxed, because a handshake needs more memory than everything that follows.
        let mut stream = Box::pin(tls.accept(socket)).await?;
        // By default rustls buffers up to 64 KiB for a client that does not read.
        stream.get_mut().1.set_buffer_limit(Some(UNSENT));
        Ok(on(Inner::Tls(Box::new(stream))))
    }

    /// Whether the client speaks HTTP/2, which starts with the preface.
    pub(crate) async fn speaks_http2(&mut self) -> io::Result<bool> {
        let (mut begun, mut length) = ([0; PREFACE.len()], 0);
        while length < begun.len() && PREFACE.starts_with(&begun[..length]) {
            match self.read(&mut begun[length..]).await? {
                0 => break,
                read => length += read,
            }
        }
        let is_http2 = begun[..length] == *PREFACE;
        self.flood_guard = is_http2.then(|| Box::new(FloodGuard::new(Instant::now())));
        self.begun = begun[..length].to_vec();
        Ok(is_http2)
    }
}

/// The answer to plain HTTP on a TLS port.
static SPEAK_TLS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "This port serves only HTTPS".into();
    let hint = Some("use https:// instead of http:// in the address".into());
    ApiError::BadRequest { detail, hint }.to_http1()
});

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, flood_guard, begun } = self.get_mut();
        let handed_over = begun.len().min(buffer.remaining());
        if handed_over > 0 {
            buffer.put_slice(&begun[..handed_over]);
            *begun = begun.split_off(handed_over);
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        let before = buffer.filled().len();
        let read = match inner {
            Inner::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Inner::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_pending() && handed_over > 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(read)?;
        let Some(flood_guard) = flood_guard else { return Poll::Ready(Ok(())) };
        let flood = |flood| io::Error::new(io::ErrorKind::InvalidData, flood);
        Poll::Ready(flood_guard.take(&buffer.filled()[before..], Instant::now()).map_err(flood))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, flood_guard, .. } = self.get_mut();
        let sent = ready!(match inner {
            Inner::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        })?;
        if let Some(flood_guard) = flood_guard {
            flood_guard.sent(sent);
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { inner, flood_guard, .. } = self.get_mut();
        let sent = ready!(match inner {
            Inner::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        })?;
        if let Some(flood_guard) = flood_guard {
            flood_guard.sent(sent);
        }
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(socket) => socket.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(socket) => Pin::new(socket).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connections::{activity::Activity, request_metrics::RequestMetrics};
    use std::{sync::Arc, time::Duration};
    use tokio::{
        net::{TcpListener, TcpStream},
        sync::Semaphore,
    };

    /// A client, and the transport of its connection.
    async fn connected() -> (TcpStream, Transport) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let open = Arc::new(RequestMetrics::new([])).open();
        let activity = Arc::<Activity>::default();
        let socket = Socket::new(stream, place, open, activity, Duration::from_secs(10));
        (client, Transport::open(socket, None).await.unwrap())
    }

    /// Breaks if a request is handed over in two parts: hyper's buffer would be twice as large, for
    /// as long as the connection lasts.
    #[tokio::test]
    async fn a_request_is_handed_over_whole_after_its_version_is_known() {
        for (request, is_http2) in [
            (&b"GET /scan/0/events HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], false),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand what follows", true),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false),
            (b"GET / HTTP/1.0\r\n\r\n", false),
        ] {
            let (mut client, mut transport) = connected().await;
            client.write_all(request).await.unwrap();
            assert_eq!(transport.speaks_http2().await.unwrap(), is_http2);
            let mut space = [0; 8192];
            let read = transport.read(&mut space).await.unwrap();
            assert_eq!(space[..read], *request);
        }
    }

    #[tokio::test]
    async fn the_preface_may_arrive_and_be_read_in_pieces() {
        let (mut client, mut transport) = connected().await;
        let sending = async {
            for byte in PREFACE {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let (is_http2, ()) = tokio::join!(transport.speaks_http2(), sending);
        assert!(is_http2.unwrap());
        let mut space = [0; 24];
        for part in space.chunks_mut(10) {
            assert_eq!(transport.read(part).await.unwrap(), part.len());
        }
        assert_eq!(space, *PREFACE);
    }
}
