//! Listeners at places that must not be contacted.

use std::net::{TcpListener, TcpStream, ToSocketAddrs};

/// Services that an attacker would like to reach through us.
const PORTS: [u16; 12] = [22, 25, 80, 443, 2375, 6379, 8000, 8080, 8443, 9200, 9418, 11211];

/// Listens, and never answers: connections are counted.
#[derive(Debug)]
pub(crate) struct Trap(Vec<TcpListener>);

impl Trap {
    /// At every address of a private network, at attractive ports.
    pub(crate) fn everywhere() -> Self {
        // The unspecified address of IPv6 includes those of IPv4.
        let places: Vec<_> = PORTS.iter().map(|port| ("::", *port)).collect();
        Self::at(&places)
    }

    /// At these places in the current network namespace.
    pub(crate) fn at(places: &[impl ToSocketAddrs]) -> Self {
        let listener = |place| TcpListener::bind(place).expect("no other program listens here");
        Self(places.iter().map(listener).collect())
    }

    /// Checks that it would notice: one contact to each of these places, which is then discounted.
    pub(crate) fn is_tried_at(&self, places: &[&str]) {
        for place in places {
            drop(TcpStream::connect(place).expect("the trap listens"));
        }
        assert_eq!(self.contacts(), places.len());
    }

    /// How many connections came since the last call.
    pub(crate) fn contacts(&self) -> usize {
        let caught = |listener: &TcpListener| {
            listener.set_nonblocking(true).expect("a socket that need not wait");
            std::iter::from_fn(|| listener.accept().ok()).count()
        };
        self.0.iter().map(caught).sum()
    }
}
