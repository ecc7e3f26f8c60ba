//! The opening handshake of a `WebSocket` (RFC 6455, section 4.2).
//!
//! Input: the head of a request, and hyper's handle of the connection. Output: an upgrade that can
//! be answered by 101, or the error of a request that opens no `WebSocket` or opens it
//! incorrectly.
//!
//! Invariants: only HTTP/1.1 is upgraded; the key is 16 bytes in base64, and is sent exactly once.

use crate::api::answers::error::ApiError;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::upgrade::OnUpgrade;
use std::convert::Infallible;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use warp::{
    Filter,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    reply::Response,
};

/// The length of a key in bytes.
const KEY: usize = 16;

/// The outcome of a handshake.
pub(super) type Handshake = Result<Upgrade, ApiError>;

/// A request that can be answered by 101.
#[derive(Debug)]
pub(super) struct Upgrade {
    accept: String,
    /// The connection, once the answer has been sent.
    pub(super) connection: OnUpgrade,
}

/// Extracts the handshake of a request.
pub(super) fn handshake() -> impl Filter<Extract = (Handshake,), Error = Infallible> + Copy {
    warp::method().and(warp::header::headers_cloned()).and(warp::ext::optional::<OnUpgrade>()).map(
        |method: Method, headers: HeaderMap, connection: Option<OnUpgrade>| {
            // hyper provides it only for HTTP/1.1.
            let connection = connection.ok_or(ApiError::UpgradeRequired)?;
            let accept = accept_key(&method, &headers)?;
            Ok(Upgrade { accept, connection })
        },
    )
}

impl Upgrade {
    /// The answer after which the connection is a `WebSocket`.
    pub(super) fn answer(&self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// Checks a request; returns the answer to its key.
fn accept_key(method: &Method, headers: &HeaderMap) -> Result<String, ApiError> {
    let asks = method == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    if !asks || only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(ApiError::UpgradeRequired);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY);
    let is_key = |text: &&[u8]| STANDARD.decode(text).is_ok_and(|key| key.len() == KEY);
    let key = key.filter(is_key).ok_or(ApiError::Malformed(
        "the Sec-WebSocket-Key is not 16 bytes in base64, or is not sent exactly once",
    ))?;
    Ok(derive_accept_key(key))
}

/// Whether a list header contains this token, ignoring case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that is sent exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    const EXAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn outcome_of(method: &str, change: impl FnOnce(&mut HeaderMap)) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (SEC_WEBSOCKET_VERSION, "13"),
            (SEC_WEBSOCKET_KEY, EXAMPLE),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        change(&mut headers);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        accept_key(&method, &headers).map_err(|error| error.to_response().status().as_u16())
    }

    #[test]
    fn a_valid_handshake_is_answered_as_in_the_rfc() {
        assert_eq!(outcome_of("GET", |_| {}), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
    }

    #[test]
    fn an_invalid_key_is_a_bad_request() {
        for key in ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ", "!!!!", "====", " "] {
            let change = |headers: &mut HeaderMap| {
                headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
            };
            assert_eq!(outcome_of("GET", change), Err(400), "{key:?}");
        }
        let twice = |headers: &mut HeaderMap| {
            headers.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(EXAMPLE));
        };
        assert_eq!(outcome_of("GET", twice), Err(400));
        let none = |headers: &mut HeaderMap| drop(headers.remove(SEC_WEBSOCKET_KEY));
        assert_eq!(outcome_of("GET", none), Err(400));
    }

    #[test]
    fn a_request_without_an_upgrade_is_answered_by_426() {
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_VERSION] {
            let shown = name.clone();
            let without = |headers: &mut HeaderMap| drop(headers.remove(name));
            assert_eq!(outcome_of("GET", without), Err(426), "{shown}");
        }
        assert_eq!(outcome_of("HEAD", |_| {}), Err(426));
        let old = |headers: &mut HeaderMap| {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        };
        assert_eq!(outcome_of("GET", old), Err(426));
    }
}
