//! Listeners at places that nobody is to contact.

use std::net::{TcpListener, TcpStream, ToSocketAddrs};

/// Services that somebody would like to reach through us.
const PORTS: [u16; 12] = [22, 25, 80, 443, 2375, 6379, 8000, 8080, 8443, 9200, 9418, 11211];

/// Listens, and never answers: what comes is counted.
#[derive(Debug)]
pub(crate) struct Trap(Vec<TcpListener>);

impl Trap {
    /// At every address of this machine, where it is the test's own, at ports that are attractive.
    pub(crate) fn everywhere() -> Self {
        // The unspecified address of IPv6 stands for those of IPv4 too.
        let places: Vec<_> = PORTS.iter().map(|port| ("::", *port)).collect();
        Self::at(&places)
    }

    /// At these places of the machine where this is called.
    pub(crate) fn at(places: &[impl ToSocketAddrs]) -> Self {
        let listener = |place| TcpListener::bind(place).expect("no other program listens here");
        Self(places.iter().map(listener).collect())
    }

    /// Makes sure that it would notice: of each of these places one contact, which is taken out
    /// again.
    pub(crate) fn is_tried_at(&self, places: &[&str]) {
        for place in places {
            drop(TcpStream::connect(place).expect("the trap listens"));
        }
        assert_eq!(self.contacts(), places.len());
    }

    /// How many were caught since it was asked last.
    pub(crate) fn contacts(&self) -> usize {
        let caught = |listener: &TcpListener| {
            listener.set_nonblocking(true).expect("a socket that need not wait");
            std::iter::from_fn(|| listener.accept().ok()).count()
        };
        self.0.iter().map(caught).sum()
    }
}
