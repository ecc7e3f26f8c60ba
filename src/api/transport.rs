//! What lies between a socket and HTTP: a socket comes in, the bytes of a connection go out, in the
//! clear or under TLS.
//!
//! What must stay true: a handshake is part of its connection's own task, so that nobody waits for a
//! slow one but its peer; it has the socket's place and the socket's time for writing.

use super::{error::ApiError, socket::Socket};
use std::{
    io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A connection as HTTP sees it.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Transport {
    /// Shakes hands, where there is TLS. The caller sees to it that this has an end.
    pub(super) async fn open(mut socket: Socket, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let Some(tls) = tls else {
            return Ok(Self::Plain(socket));
        };
        // Every request of HTTP begins with the capital letter of a method, no handshake does.
        if socket.first_byte().await?.is_some_and(|it| it.is_ascii_uppercase()) {
            socket.write_all(&SPEAK_TLS).await?;
            socket.leave_unread();
            socket.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it speaks HTTP, not TLS"));
        }
        Ok(Self::Tls(Box::new(tls.accept(socket).await?)))
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
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
