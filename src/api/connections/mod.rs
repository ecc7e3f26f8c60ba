//! Connections: from an accepted socket to requests and back.
//!
//! ```text
//! server ─► connection ─► transport ─► socket
//!              ├► request_body ─► service ─► response_body
//!              └── activity: idle, stalled, unread
//! ```
//!
//! Input: a listening socket, and a service. Output: served connections.
//!
//! Invariants: every wait for a peer has a limit; nothing here knows a route or a user: the service
//! and the context of a connection are parameters.

pub(crate) mod activity;
pub mod connection;
pub(crate) mod h2_flood_guard;
pub mod limits;
pub mod request_body;
pub mod request_metrics;
pub(crate) mod response_body;
pub mod server;
pub(crate) mod socket;
pub(crate) mod transport;
