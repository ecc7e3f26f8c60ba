//! Protects browser users: against cross-site requests, DNS rebinding, and answers in foreign
//! pages.
//!
//! Input: the headers by which a browser names the origin of a request; answers before they are
//! sent. Output: a 403 or 421, or permission; answers with security headers.
//!
//! Invariants: clients that are not browsers send none of these headers and pass.

use super::header::header;
use crate::api::{answers::error::ApiError, auth::Auth};
use std::net::IpAddr;
use url::Url;
use warp::{
    Filter, Rejection,
    host::Authority,
    http::{HeaderValue, Method, Request, header::HOST},
    reject,
};

/// Refuses a write (any method but GET, HEAD and OPTIONS) that a page of another site sent.
pub(crate) fn check_write<B>(request: &Request<B>) -> Result<(), ApiError> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let of = |name| request.headers().get(name).cloned();
    let (fetch_site, origin) = (of("sec-fetch-site"), of("origin"));
    RequestOrigin { fetch_site, origin, host: host_of(request) }.check()
}

/// Rejects every request that a page of another site sent: for `WebSocket`s, which such a page
/// could open and read with the user's credentials.
pub fn same_site() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    header("sec-fetch-site")
        .and(header("origin"))
        .and(warp::host::optional())
        .map(|fetch_site, origin, host| RequestOrigin { fetch_site, origin, host })
        .and_then(async |origin: RequestOrigin| origin.check().map_err(reject::custom))
        .untuple_one()
}

/// Refuses foreign host names on an open server: for a browser, a page whose name was made to
/// resolve to this server (DNS rebinding) has the same origin. A server with credentials needs no
/// check, because browsers store credentials by name.
pub(crate) fn check_host<B>(auth: &Auth, request: &Request<B>) -> Result<(), ApiError> {
    let known = !auth.is_open() || host_of(request).is_none_or(|host| is_local_name(host.host()));
    if known { Ok(()) } else { Err(ApiError::UnknownHost) }
}

/// Whether a browser opens the address itself, and not a script of a page (W3C "Fetch Metadata Request Headers").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrowserRequest {
    /// It was typed, or a link was followed; with the number of folders in the path.
    Navigation { depth: usize },
    /// A script or a page loads it.
    Part,
    /// It is no browser.
    None,
}

impl BrowserRequest {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        match request.headers().get("sec-fetch-mode") {
            None => Self::None,
            Some(mode) if mode == "navigate" => {
                let folders = request.uri().path().matches('/').count();
                Self::Navigation { depth: folders.saturating_sub(1) }
            }
            Some(_) => Self::Part,
        }
    }
}

/// The host that a request names; `malformed` has validated it.
pub(crate) fn host_of<B>(request: &Request<B>) -> Option<Authority> {
    let of_header = || request.headers().get(HOST)?.to_str().ok()?.parse().ok();
    request.uri().authority().cloned().or_else(of_header)
}

/// The origin of a request as the browser names it, and its target.
#[derive(Debug)]
struct RequestOrigin {
    fetch_site: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    host: Option<Authority>,
}

impl RequestOrigin {
    fn check(&self) -> Result<(), ApiError> {
        if let Some(site) = &self.fetch_site
            && site != "same-origin"
            && site != "none"
        {
            return Err(ApiError::CrossSite("its Sec-Fetch-Site is not same-origin".into()));
        }
        match (&self.origin, &self.host) {
            (None, _) => Ok(()),
            (Some(origin), Some(host)) if is_origin_of(origin, host) => Ok(()),
            (Some(_), _) => Err(ApiError::CrossSite("its Origin is not this host".into())),
        }
    }
}

/// Whether an `Origin` has this host and port. The scheme only supplies the default port, because
/// it differs behind a proxy that terminates TLS.
fn is_origin_of(origin: &HeaderValue, host: &Authority) -> bool {
    // "null", the origin of sandboxed and local pages, is not a URL.
    let Some(origin) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else {
        return false;
    };
    let (Some(name), Some(port)) = (origin.host_str(), origin.port_or_known_default()) else {
        return false;
    };
    let default_port = match origin.scheme() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    name.eq_ignore_ascii_case(host.host()) && port == host.port_u16().unwrap_or(default_port)
}

/// Whether a name cannot be defined by others: localhost, or an IP address.
fn is_local_name(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&'static str, &str)]) -> Request<()> {
        let request = Request::builder().method(method);
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(())
            .unwrap()
    }

    fn write(headers: &[(&'static str, &str)]) -> Result<(), String> {
        check_write(&request("POST", headers)).map_err(|error| error.to_string())
    }

    #[test]
    fn writes_of_own_pages_and_of_other_clients_pass() {
        for headers in [
            &[][..],
            &[("host", "h:1")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("origin", "http://h:8000"), ("host", "H:8000")],
            &[("origin", "https://h:8000"), ("host", "h:8000")],
            &[("origin", "http://h"), ("host", "h:80")],
            &[("origin", "https://h"), ("host", "h")],
            &[("origin", "http://[::1]:8000"), ("host", "[::1]:8000")],
            &[("origin", "http://h"), ("host", "h"), ("sec-fetch-site", "same-origin")],
        ] {
            assert_eq!(write(headers), Ok(()), "{headers:?}");
        }
    }

    #[test]
    fn writes_of_other_sites_are_refused_and_the_header_is_named() {
        for site in ["cross-site", "same-site", "", "None"] {
            let error = write(&[("sec-fetch-site", site)]).unwrap_err();
            assert!(error.contains("Sec-Fetch-Site"), "{error}");
        }
        for headers in [
            &[("origin", "null"), ("host", "h")][..],
            &[("origin", "http://h")],
            &[("origin", "http://evil.example"), ("host", "h")],
            &[("origin", "http://h:8001"), ("host", "h:8000")],
            &[("origin", "http://h"), ("host", "h:8000")],
            &[("origin", "http://h.evil.example"), ("host", "h")],
            &[("origin", "moz-extension://h"), ("host", "h")],
            &[("origin", ""), ("host", "h")],
            &[("origin", "http://x"), ("host", "h"), ("sec-fetch-site", "same-origin")],
        ] {
            let error = write(headers).unwrap_err();
            assert!(error.contains("Origin"), "{headers:?}: {error}");
        }
    }

    #[tokio::test]
    async fn cross_site_reads_are_refused_only_for_websockets() {
        let read = || warp::test::request().header("sec-fetch-site", "cross-site");
        for method in ["GET", "HEAD", "OPTIONS"] {
            let read = request(method, &[("sec-fetch-site", "cross-site")]);
            assert!(check_write(&read).is_ok(), "{method}");
        }
        assert!(!read().matches(&same_site()).await);
        assert!(warp::test::request().matches(&same_site()).await);
    }

    #[test]
    fn an_open_server_answers_to_names_that_cannot_be_foreign() {
        let passes =
            |auth: &Auth, host| check_host(auth, &request("GET", &[("host", host)])).is_ok();
        let open = Auth::open();
        for host in ["localhost", "LOCALHOST.:8000", "a.localhost", "127.0.0.1:8000", "[::1]:8000"]
        {
            assert!(passes(&open, host), "{host}");
        }
        assert!(check_host(&open, &request("GET", &[])).is_ok());
        for host in ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!passes(&open, host), "{host}");
        }
        let closed = Auth::single("u", &secrecy::SecretString::from("p")).unwrap();
        assert!(passes(&closed, "scan.example"));
    }
}
