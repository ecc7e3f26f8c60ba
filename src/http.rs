//! The one place where HTTP clients are made: for the forges that are asked for their groups, and
//! for the command line, which asks a server of ours.
//!
//! What must stay true: no client follows a redirect or takes a proxy from the environment by
//! itself. Where a request goes is decided by whoever sends it.

use reqwest::{ClientBuilder, redirect};
use std::{error::Error, io, time::Duration};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The start of every client.
pub fn client() -> ClientBuilder {
    // Fails only when it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientBuilder::new()
        .user_agent(concat!("scanwatch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
}

/// The first error of this type in a chain, within wrappers of `io::Error` too.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(it) = error.downcast_ref::<E>() {
            return Some(it);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        // `source` of an `io::Error` passes over what it wraps.
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
