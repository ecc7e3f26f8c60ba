//! What authentication knows of the connection of a request.
//!
//! Input: the address of a peer, and credentials after they were verified. Output: the address, and
//! the identity of a request that sends the same credentials again.
//!
//! Invariants: the bytes of the header are compared in constant time; an identity that is no longer
//! valid is never returned.

use super::{identity::Identity, secret::Padded};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

/// The connection of a request: an extension of the request.
#[derive(Debug, Clone)]
pub struct ConnectionContext {
    /// The address of the client, or of the proxy in front of the client.
    pub peer: SocketAddr,
    /// The last credentials that were verified on this connection.
    pub verified: Arc<Mutex<Option<VerifiedCredentials>>>,
}

impl ConnectionContext {
    /// A connection without verified credentials.
    pub fn new(peer: SocketAddr) -> Self {
        Self { peer, verified: Arc::default() }
    }
}

/// Credentials that a connection has verified: the bytes of the header, and their identity.
#[derive(Debug)]
pub struct VerifiedCredentials {
    header: Padded,
    identity: Arc<Identity>,
}

impl VerifiedCredentials {
    pub(super) fn new(header: &[u8], identity: Arc<Identity>) -> Self {
        Self { header: Padded::new(header), identity }
    }

    /// The identity, if the header is the same and the identity is still valid.
    pub(super) fn identity_for(&self, header: &[u8]) -> Option<Arc<Identity>> {
        let same = bool::from(self.header.equals(header));
        (same && self.identity.is_valid()).then(|| Arc::clone(&self.identity))
    }
}
