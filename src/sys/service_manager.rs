//! Notifies the service manager by the protocol of `sd_notify(3)`.
//!
//! Input: a state of the service. Output: one datagram. Invariant: a manager that does not read
//! blocks nothing.

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

/// The environment variable in which a service manager names its socket.
pub const NOTIFY_VARIABLE: &str = "NOTIFY_SOCKET";

/// A state that a service manager is notified of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// The service accepts requests.
    Ready,
    /// The service has started to stop.
    Stopping,
}

/// Notifies the manager that owns this socket. The name is a path or, after an `@`, an abstract
/// socket name (unix(7)).
///
/// # Errors
/// If the socket refuses the datagram; the service is not affected.
pub fn notify(socket: &OsStr, state: ServiceState) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let message = match state {
        ServiceState::Ready => "READY=1",
        ServiceState::Stopping => "STOPPING=1",
    };
    let ours = UnixDatagram::unbound()?;
    // A manager that does not read must not block the service.
    ours.set_nonblocking(true)?;
    ours.send_to_addr(message.as_bytes(), &address).map(|_| ())
}
