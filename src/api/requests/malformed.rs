//! Refuses malformed requests that hyper accepts.
//!
//! Input: the head of a request. Output: nothing, or the rule that it violates.
//!
//! Invariants: a request that a route sees has a target with a path (RFC 9112, section 3.2: the
//! origin form, the absolute form, or `*` of OPTIONS), exactly one valid host (only HTTP/1.0 may
//! have none), and a body in no transfer coding but chunked. The filters rely on that: warp panics
//! on a target in authority form.

use crate::api::answers::error::ApiError;
use hyper::{
    Method, Request, Version,
    header::{HOST, HeaderMap, TRANSFER_ENCODING},
};
use warp::http::uri::Authority;

/// The rule that a request violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The target has no path: the authority form (`CONNECT host:port`), or `*` without OPTIONS.
    Target,
    /// Neither a `Host` header nor an authority.
    NoHost,
    /// More than one `Host` header.
    SeveralHosts,
    /// The host is empty or invalid.
    BadHost,
    /// The `Host` header names another host than the target.
    OtherHost,
    /// The body is in another transfer coding than chunked.
    TransferCoding,
}

impl From<Malformed> for ApiError {
    fn from(rule: Malformed) -> Self {
        Self::Malformed(match rule {
            Malformed::Target => "the request target has no path",
            Malformed::NoHost => "the Host header is missing",
            Malformed::SeveralHosts => "there is more than one Host header",
            Malformed::BadHost => "the host is not valid",
            Malformed::OtherHost => "the Host header and the target name different hosts",
            Malformed::TransferCoding => return Self::UnknownTransferCoding,
        })
    }
}

/// Checks a request.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Malformed> {
    let target = request.uri();
    let path = target.path_and_query().ok_or(Malformed::Target)?.path();
    let is_known = path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS);
    if !is_known {
        return Err(Malformed::Target);
    }
    check_host(target.authority(), request.version(), request.headers())?;
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if request.headers().get_all(TRANSFER_ENCODING).iter().all(|value| is_chunked(value.as_bytes()))
    {
        Ok(())
    } else {
        Err(Malformed::TransferCoding)
    }
}

/// RFC 9112, section 3.2, and RFC 9113, section 8.3.1.
fn check_host(
    target: Option<&Authority>,
    version: Version,
    headers: &HeaderMap,
) -> Result<(), Malformed> {
    if target.is_some_and(|target| !is_host(target)) {
        return Err(Malformed::BadHost);
    }
    let mut values = headers.get_all(HOST).iter();
    let Some(value) = values.next() else {
        // HTTP/2 has the host in `:authority`; HTTP/1.1 requires the header in any case.
        let may_lack =
            version < Version::HTTP_11 || (version > Version::HTTP_11 && target.is_some());
        return if may_lack { Ok(()) } else { Err(Malformed::NoHost) };
    };
    if values.next().is_some() {
        return Err(Malformed::SeveralHosts);
    }
    if target.is_none() && is_plain_host(value.as_bytes()) {
        return Ok(());
    }
    let named = value.to_str().ok().and_then(|value| value.parse::<Authority>().ok());
    let named = named.filter(is_host).ok_or(Malformed::BadHost)?;
    if target.is_some_and(|target| *target != named) {
        return Err(Malformed::OtherHost);
    }
    Ok(())
}

/// Whether this is a name or an IPv4 address, with or without a port. This covers nearly every
/// request and needs no copy, unlike parsing an authority.
fn is_plain_host(host: &[u8]) -> bool {
    let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
    let (name, port) = (&host[..end], host.get(end + 1..).unwrap_or_default());
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let port = port.iter().try_fold(0_u16, |port, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    });
    !name.is_empty() && name.iter().all(is_name) && port.is_some()
}

/// Whether this is a name or an address, with or without a valid port, and without userinfo.
fn is_host(authority: &Authority) -> bool {
    let (text, host) = (authority.as_str(), authority.host());
    let port = text.strip_prefix(host);
    let is_port = |port: &str| {
        port.is_empty()
            || port == ":"
            || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
    };
    !host.is_empty() && port.is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(
        method: &str,
        target: &str,
        version: Version,
        headers: &[(&str, &str)],
    ) -> Result<(), Malformed> {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap())
    }

    const HERE: (&str, &str) = ("host", "h:8000");

    #[test]
    fn a_target_without_a_path_is_refused_whatever_the_method() {
        for method in ["CONNECT", "GET", "FOO", "OPTIONS"] {
            for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
                for target in ["a:1", "h:8000", "a", "[::1]:8000"] {
                    let outcome = outcome_of(method, target, version, &[HERE]);
                    assert_eq!(outcome, Err(Malformed::Target), "{method} {target} {version:?}");
                }
            }
        }
        for (method, target, expected) in [
            ("GET", "/", Ok(())),
            ("GET", "/x?y#z", Ok(())),
            ("GET", "//x", Ok(())),
            ("GET", "http://h:8000", Ok(())),
            ("GET", "http://h:8000/x", Ok(())),
            ("OPTIONS", "*", Ok(())),
            ("GET", "*", Err(Malformed::Target)),
        ] {
            let outcome = outcome_of(method, target, Version::HTTP_11, &[HERE]);
            assert_eq!(outcome, expected, "{method} {target}");
        }
    }

    #[test]
    fn there_is_exactly_one_valid_host() {
        for (version, target, hosts, expected) in [
            (Version::HTTP_11, "/", &["h"][..], Ok(())),
            (Version::HTTP_11, "/", &["h:"], Ok(())),
            (Version::HTTP_11, "/", &["[::1]:80"], Ok(())),
            (Version::HTTP_11, "/", &[], Err(Malformed::NoHost)),
            (Version::HTTP_11, "http://h/", &[], Err(Malformed::NoHost)),
            (Version::HTTP_10, "/", &[], Ok(())),
            (Version::HTTP_2, "/", &[], Err(Malformed::NoHost)),
            (Version::HTTP_2, "http://h/", &[], Ok(())),
            (Version::HTTP_2, "/", &["h"], Ok(())),
            (Version::HTTP_2, "http://h/", &["h"], Ok(())),
            (Version::HTTP_2, "http://h/", &["g"], Err(Malformed::OtherHost)),
            (Version::HTTP_11, "http://h/", &["H"], Ok(())),
            (Version::HTTP_11, "http://h/", &["g"], Err(Malformed::OtherHost)),
            (Version::HTTP_11, "http://u@h/", &["h"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h", "h"], Err(Malformed::SeveralHosts)),
            (Version::HTTP_10, "/", &["h", "g"], Err(Malformed::SeveralHosts)),
            (Version::HTTP_2, "http://h/", &["h", "h"], Err(Malformed::SeveralHosts)),
            (Version::HTTP_11, "/", &[""], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["u@h"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h/x"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h, g"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h:x"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h:65535"], Ok(())),
            (Version::HTTP_11, "/", &["h:65536"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h:1:2"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["h:1x"], Err(Malformed::BadHost)),
            (Version::HTTP_11, "/", &["a-b.example:8000"], Ok(())),
            (Version::HTTP_11, "/", &[":80"], Err(Malformed::BadHost)),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let outcome = outcome_of("GET", target, version, &headers);
            assert_eq!(outcome, expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn no_transfer_coding_but_chunked_is_accepted() {
        for (codings, expected) in [
            (&["chunked"][..], Ok(())),
            (&[" Chunked "], Ok(())),
            (&["gzip, chunked"], Err(Malformed::TransferCoding)),
            (&["gzip", "chunked"], Err(Malformed::TransferCoding)),
            (&["identity"], Err(Malformed::TransferCoding)),
        ] {
            let codings = codings.iter().map(|coding| ("transfer-encoding", *coding));
            let headers: Vec<_> = codings.chain([HERE]).collect();
            assert_eq!(
                outcome_of("POST", "/scan", Version::HTTP_11, &headers),
                expected,
                "{headers:?}"
            );
        }
    }
}
