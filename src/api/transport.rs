//! What lies between a socket and HTTP: a socket comes in, the bytes of a connection go out, in the
//! clear or under TLS.
//!
//! What must stay true: a handshake is part of its connection's own task, so that nobody waits for a
//! slow one but its peer; it has the socket's place and the socket's time for writing; what comes is
//! counted (see `meter`) before HTTP hears of it.

use super::{error::ApiError, meter::Meter, socket::Socket};
use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// The most bytes that wait, encrypted, for a peer to take them: two records of TLS.
const UNSENT: usize = 32 << 10;

/// A connection as HTTP sees it.
#[derive(Debug)]
pub(super) struct Transport {
    line: Line,
    meter: Meter,
}

#[derive(Debug)]
enum Line {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Shakes hands, where there is TLS. The caller sees to it that this has an end.
    pub(super) async fn open(mut socket: Socket, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let with_meter = |line| Self { line, meter: Meter::new(Instant::now()) };
        let Some(tls) = tls else {
            return Ok(with_meter(Line::Plain(socket)));
        };
        // Every request of HTTP begins with the capital letter of a method, no handshake does.
        if socket.first_byte().await?.is_some_and(|it| it.is_ascii_uppercase()) {
            socket.write_all(&SPEAK_TLS).await?;
            socket.leave_unread();
            socket.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks HTTP, not TLS"));
        }
        let mut stream = tls.accept(socket).await?;
        // By default rustls keeps up to 64 KiB for a peer that takes nothing.
        stream.get_mut().1.set_buffer_limit(Some(UNSENT));
        Ok(with_meter(Line::Tls(Box::new(stream))))
    }
}

/// The answer to HTTP in the clear, where TLS is spoken.
static SPEAK_TLS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "This port speaks HTTPS alone".into();
    let hint = Some("ask again with https:// in front of the address".into());
    ApiError::BadRequest { detail, hint }.to_http1()
});

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { line, meter } = self.get_mut();
        let before = buffer.filled().len();
        ready!(match line {
            Line::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Line::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        })?;
        let flood = |flood| io::Error::new(io::ErrorKind::InvalidData, flood);
        Poll::Ready(meter.take(&buffer.filled()[before..], Instant::now()).map_err(flood))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { line, meter } = self.get_mut();
        let sent = ready!(match line {
            Line::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Line::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        })?;
        meter.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { line, meter } = self.get_mut();
        let sent = ready!(match line {
            Line::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Line::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        })?;
        meter.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.line {
            Line::Plain(socket) => socket.is_write_vectored(),
            Line::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().line {
            Line::Plain(socket) => Pin::new(socket).poll_flush(context),
            Line::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().line {
            Line::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Line::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
