//! The limits of connections: how many, how long, how large.
//!
//! Input: settings. Output: the limits that the accept loop and each connection apply.
//!
//! Invariants: every wait for a peer has a limit.

use std::time::Duration;

/// The limits of connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Concurrent connections.
    pub max_connections: usize,
    /// For the headers of a request, from the start of the connection or the end of the previous
    /// answer; so this is also the idle timeout.
    pub header_timeout: Duration,
    /// For a body, from its headers on.
    pub body_timeout: Duration,
    /// For a client that does not read while there are bytes to send.
    pub write_timeout: Duration,
    /// For the body of any request; a route may have a lower limit.
    pub max_body_bytes: u64,
    /// From the request to stop until open connections are dropped.
    pub stop_grace: Duration,
}
