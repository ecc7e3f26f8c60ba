//! A service manager that wants to hear how the service is, by the protocol of `sd_notify(3)`: one
//! datagram for each piece of news.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The variable in which a service manager names its socket.
pub const NOTIFY_VARIABLE: &str = "NOTIFY_SOCKET";

/// What a service manager may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The service can be used.
    Ready,
    /// It has begun to stop.
    Stopping,
}

/// Tells the manager whose socket this is. The name is a path, or, behind an `@`, one of the
/// kernel's abstract names (unix(7)).
///
/// # Errors
/// What the kernel says of the socket; the service is none the worse for it.
pub fn tell(socket: &OsStr, news: News) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let message = match news {
        News::Ready => "READY=1",
        News::Stopping => "STOPPING=1",
    };
    let ours = UnixDatagram::unbound()?;
    // A manager that does not read must not hold up what it asked about.
    ours.set_nonblocking(true)?;
    ours.send_to_addr(message.as_bytes(), &address).map(|_| ())
}
