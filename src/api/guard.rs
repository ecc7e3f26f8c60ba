//! What browsers are kept from: another site's page that lets the browser act in our user's name,
//! a foreign name that points at our address, and our answers in places that are not ours.
//!
//! What flows in: the headers by which a browser says where a request comes from, and answers on
//! their way out. What flows out: a 403 or 421, or nothing; answers with the headers that
//! restrain browsers. What must stay true: clients that are no browsers send none of these headers
//! and pass.

use super::{auth::Auth, error::ApiError};
use std::{convert::Infallible, net::IpAddr, sync::Arc};
use url::Url;
use warp::{
    Filter, Rejection, Reply,
    host::Authority,
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    reject,
    reply::Response,
};

/// Nothing of ours is a document for other sites to load or frame.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Our pages run their own scripts alone, and no inline ones.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Rejects a write (any method but GET, HEAD and OPTIONS) that another site's page has sent.
pub fn same_site_writes() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    source()
        .and(warp::method())
        .and_then(async |source: Source, method: Method| match method {
            Method::GET | Method::HEAD | Method::OPTIONS => Ok(()),
            _ => source.judge().map_err(reject::custom),
        })
        .untuple_one()
}

/// Rejects any request that another site's page has sent: for `WebSocket`s, which such a page may
/// open and read with our user's credentials.
pub fn same_site() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    source().and_then(async |source: Source| source.judge().map_err(reject::custom)).untuple_one()
}

/// Keeps an open server from answering to foreign names: a page whose name was made to point at
/// us (DNS rebinding) is of the same origin by its own account. With credentials there is
/// nothing to win by that, for browsers keep them by name.
pub fn known_host(auth: Arc<Auth>) -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::host::optional()
        .and_then(move |host: Option<Authority>| {
            let known = !auth.is_open() || host.is_none_or(|it| is_local_name(it.host()));
            std::future::ready(if known {
                Ok(())
            } else {
                Err(reject::custom(ApiError::UnknownHost))
            })
        })
        .untuple_one()
}

/// Adds to every answer, errors included, what restrains browsers. For the outermost place.
pub fn with_security_headers<F, R>(
    filter: F,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone
where
    F: Filter<Extract = (R,), Error = Infallible> + Clone + Send + Sync + 'static,
    R: Reply,
{
    filter.map(|reply: R| secured(reply.into_response()))
}

/// Where a browser says that a request comes from, and where it goes.
#[derive(Debug)]
struct Source {
    fetch_site: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    host: Option<Authority>,
}

fn source() -> impl Filter<Extract = (Source,), Error = Rejection> + Clone {
    super::header("sec-fetch-site")
        .and(super::header("origin"))
        .and(warp::host::optional())
        .map(|fetch_site, origin, host| Source { fetch_site, origin, host })
}

impl Source {
    fn judge(&self) -> Result<(), ApiError> {
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

/// Whether an `Origin` is of this host and port. The scheme is not looked at but for its port:
/// behind a proxy that speaks TLS it is not ours.
fn is_origin_of(origin: &HeaderValue, host: &Authority) -> bool {
    // "null", of sandboxed and local pages, is no URL.
    let Some(origin) = origin.to_str().ok().and_then(|it| Url::parse(it).ok()) else {
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

/// A name that nobody but this machine can give: localhost, or an address itself.
fn is_local_name(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// The same answer with what restrains browsers.
pub(super) fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let is_page =
        headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    let defaults: [(HeaderName, &'static str); 5] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn write(headers: &[(&'static str, &str)]) -> Result<(), String> {
        let mut request = warp::test::request().method("POST");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.filter(&same_site_writes()).await.map_err(|it| match it.find::<ApiError>() {
            Some(error) => error.to_string(),
            None => format!("{it:?}"),
        })
    }

    #[tokio::test]
    async fn writes_of_our_own_pages_and_of_other_clients_pass() {
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
            assert_eq!(write(headers).await, Ok(()), "{headers:?}");
        }
    }

    #[tokio::test]
    async fn writes_of_other_sites_are_refused_by_the_header_that_says_so() {
        for site in ["cross-site", "same-site", "", "None"] {
            let error = write(&[("sec-fetch-site", site)]).await.unwrap_err();
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
            let error = write(headers).await.unwrap_err();
            assert!(error.contains("Origin"), "{headers:?}: {error}");
        }
    }

    #[tokio::test]
    async fn reads_are_refused_only_where_that_is_asked_for() {
        let read = || warp::test::request().header("sec-fetch-site", "cross-site");
        assert!(read().matches(&same_site_writes()).await);
        assert!(!read().matches(&same_site()).await);
        assert!(warp::test::request().matches(&same_site()).await);
    }

    #[tokio::test]
    async fn an_open_server_answers_to_names_that_cannot_be_foreign() {
        let open = known_host(Arc::new(Auth::open()));
        for host in ["localhost", "LOCALHOST.:8000", "a.localhost", "127.0.0.1:8000", "[::1]:8000"]
        {
            assert!(warp::test::request().header("host", host).matches(&open).await, "{host}");
        }
        assert!(warp::test::request().matches(&open).await);
        for host in ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!warp::test::request().header("host", host).matches(&open).await, "{host}");
        }
        let closed = Auth::single("u", &secrecy::SecretString::from("p")).unwrap();
        let closed = known_host(Arc::new(closed));
        assert!(warp::test::request().header("host", "scan.example").matches(&closed).await);
    }

    #[tokio::test]
    async fn answers_restrain_browsers_and_keep_what_they_say_themselves() {
        let plain = with_security_headers(warp::any().map(|| "x"));
        let response = warp::test::request().reply(&plain).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["content-security-policy"], DATA_POLICY);

        let cached =
            || warp::reply::with_header(warp::reply::html("x"), "cache-control", "max-age=9");
        let page = with_security_headers(warp::any().map(cached));
        let response = warp::test::request().reply(&page).await;
        assert_eq!(response.headers()["cache-control"], "max-age=9");
        assert_eq!(response.headers()["content-security-policy"], PAGE_POLICY);
    }
}
