//! Security headers of answers, for browsers.
//!
//! Input: an answer before it is sent. Output: the answer with these headers.
//!
//! Invariants: every answer has them; a header that the answer already has is kept.

use warp::{
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    reply::Response,
};

/// The policy of data: no other site may load or frame it.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// The policy of pages: they run only their own scripts, and no inline ones.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Adds the security headers for browsers.
pub(crate) fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // Only this function sets this header, so an answer with it has all of them.
    if headers.contains_key(X_CONTENT_TYPE_OPTIONS) {
        return response;
    }
    // The policy of a script is that of a worker that runs it.
    let is_page = headers.get(CONTENT_TYPE).is_some_and(|value| {
        [&b"text/html"[..], b"text/javascript"]
            .iter()
            .any(|kind| value.as_bytes().starts_with(kind))
    });
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
    use warp::Reply;

    #[test]
    fn answers_get_security_headers_and_keep_their_own() {
        let response = secured(Response::new("x".into()));
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["content-security-policy"], DATA_POLICY);

        let mut page = warp::reply::html("x").into_response();
        page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=9"));
        let response = secured(page);
        assert_eq!(response.headers()["cache-control"], "max-age=9");
        assert_eq!(response.headers()["content-security-policy"], PAGE_POLICY);
    }
}
