//! The one place where HTTP clients are made: for the forges that are asked for their groups, and
//! for the command line, which asks a server of ours.
//!
//! What must stay true: no client follows a redirect or takes a proxy from the environment by
//! itself. Where a request goes is decided by whoever sends it.

use reqwest::{ClientBuilder, redirect};
use std::time::Duration;

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
