//! The HTTP client for one forge: what it trusts, whom it may contact, what it says of itself.
//!
//! What must stay true: certificates are always verified; a forge's own authorities vouch for
//! that forge alone; where an origin is not trusted as named, it is asked by TLS, and its
//! addresses are judged when the connection is made.

use super::{DiscoveryError, resolver::Judge};
use crate::{
    config::{Config, Forge},
    http,
    model::address::Origin,
};
use reqwest::{
    Certificate, Client,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use std::{error::Error, sync::Arc};
use url::Url;

/// A client for questions below this base, with the token of this forge.
pub(super) fn client(
    base: &Url,
    forge: Option<&Forge>,
    config: &Config,
) -> Result<Client, DiscoveryError> {
    let trusted = Origin::of(base).is_some_and(|it| config.network.trusted.contains(&it));
    let mut builder = http::client()
        .default_headers(headers(base, forge)?)
        .timeout(config.discovery.answer_timeout);
    if !trusted {
        let judge = Judge::new(Arc::new(config.network.clone()));
        builder = builder.https_only(true).dns_resolver(judge);
    }
    for authority in forge.into_iter().flat_map(|it| &it.authorities) {
        let certificate = Certificate::from_der(authority);
        let certificate = certificate.map_err(|error| client_error(&error))?;
        builder = builder.tls_certs_merge([certificate]);
    }
    builder.build().map_err(|error| client_error(&error))
}

/// What every question carries. The token is marked, so that no log shows it.
fn headers(base: &Url, forge: Option<&Forge>) -> Result<HeaderMap, DiscoveryError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = forge.and_then(|it| it.token.as_ref()) {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let mut value = value.map_err(|_| DiscoveryError::Token {
            host: base.host_str().unwrap_or_default().to_owned(),
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn client_error(error: &reqwest::Error) -> DiscoveryError {
    DiscoveryError::Client(chain(error))
}

/// An error with its causes. The first line of reqwest's says no more than that it failed.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut said = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        said.push(cause.to_string());
        next = cause.source();
    }
    said.dedup();
    if said.is_empty() { "the connection failed".to_owned() } else { said.join(": ") }
}
