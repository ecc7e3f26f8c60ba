//! The only place that creates HTTP clients: for forges, whose groups are listed, and for the
//! client commands, which send requests to a scanwatch server.
//!
//! Input: nothing. Output: a preconfigured client builder. Invariants: no client follows redirects
//! or uses a proxy from the environment; the sender of a request decides where it goes, and whether through
//! a proxy of the settings.

use reqwest::{ClientBuilder, redirect};
use std::{error::Error, io, time::Duration};

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The builder of every client.
pub fn client() -> ClientBuilder {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ClientBuilder::new()
        .user_agent(concat!("scanwatch/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // With object storage, reqwest is built with HTTP/2; forges and webhooks are contacted in the same way without it.
        .http1_only()
}

/// Finds the first error of a type in an error chain, including errors wrapped in `io::Error`.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        // `source` of an `io::Error` skips the wrapped error.
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
