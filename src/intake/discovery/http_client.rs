//! Builds the HTTP client for one forge: trusted certificates, allowed addresses, headers.
//!
//! Input: the base URL and the settings of the forge. Output: an HTTP client. Invariants:
//! certificates are always verified; the certificate authorities of a forge are trusted only for
//! that forge; an origin that the settings do not name is contacted only over TLS, and its
//! addresses are checked when the connection is made, unless a proxy makes it.

use super::{DiscoveryError, resolver::PolicyResolver};
use crate::{
    config::{Config, Forge},
    http,
    intake::forge_api::Api,
    model::address::Origin,
};
use reqwest::{
    Certificate, Client, Proxy,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use std::{error::Error, sync::Arc};
use url::Url;

/// Creates a client for requests below a base URL, with the token of the forge.
pub(super) fn client(
    base: &Url,
    api: Api,
    forge: Option<&Forge>,
    config: &Config,
) -> Result<Client, DiscoveryError> {
    let origin = Origin::of(base);
    let trusted = origin.as_ref().is_some_and(|origin| config.network.trusted.contains(origin));
    let proxy = origin.as_ref().and_then(|origin| config.network.proxy_for(origin));
    let mut builder = http::client()
        .default_headers(headers(base, api, forge)?)
        .timeout(config.discovery.answer_timeout);
    if !trusted {
        builder = builder.https_only(true);
    }
    if let Some(proxy) = proxy {
        // The proxy resolves the name of the forge; that of the proxy is the operator's choice.
        let mut through = Proxy::all(proxy.url.as_str()).map_err(|error| client_error(&error))?;
        if let Some(login) = &proxy.credentials {
            through = through.basic_auth(&login.username, &login.password);
        }
        builder = builder.proxy(through);
    } else if !trusted {
        let resolver = PolicyResolver::new(Arc::new(config.network.clone()));
        builder = builder.dns_resolver(resolver);
    }
    for authority in forge.into_iter().flat_map(|forge| &forge.authorities) {
        let certificate = Certificate::from_der(authority);
        let certificate = certificate.map_err(|error| client_error(&error))?;
        builder = builder.tls_certs_merge([certificate]);
    }
    builder.build().map_err(|error| client_error(&error))
}

/// The headers of every request. The token is marked as sensitive, so that no log shows it.
fn headers(base: &Url, api: Api, forge: Option<&Forge>) -> Result<HeaderMap, DiscoveryError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(forge) = forge
        && let Some(token) = &forge.token
    {
        let value = api.authorization(&forge.username, token.expose_secret());
        let value = HeaderValue::from_str(&value);
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

/// The causes of an error. The outermost message of reqwest only says that the request failed.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    if causes.is_empty() { "the connection failed".to_owned() } else { causes.join(": ") }
}
