//! The address of a client behind proxies: `X-Forwarded-For`, or `Forwarded` (RFC 7239), as far as
//! trusted proxies wrote it.
//!
//! Input: the address of the peer, the headers, the networks of the trusted proxies. Output: the
//! address that counts as the client's, for limits and for the log.
//!
//! Invariants: a header of an untrusted peer means nothing; entries are read from the last one, which
//! the proxy itself wrote, up to the first address that is no trusted proxy; what a client wrote
//! before that is never read. If both headers are present, a proxy may have passed on one of them from
//! its client: they have to agree, else the peer itself is the client.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use warp::http::{HeaderMap, HeaderName, header::FORWARDED};

/// The headers that may name the client.
pub(crate) static HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-for"), FORWARDED];

/// The address of the client of a request.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return peer;
    }
    let of = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| {
        let mut lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
        let first = lines.next()?;
        // Several lines are one list (RFC 9110, section 5.3).
        let list = lines.fold(first.to_owned(), |list, line| format!("{list},{line}"));
        let mut client = peer;
        for entry in entries(&list).into_iter().rev() {
            match read(entry) {
                Some(address) => client = address,
                // Unknown or hidden: the proxy that wrote it is as far as one can see.
                None => break,
            }
            if !is_trusted(client) {
                break;
            }
        }
        Some(client)
    };
    match (of(&HEADERS[0], plain), of(&HEADERS[1], element)) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => peer,
    }
}

/// The entries of a list; a comma within quotes does not separate.
fn entries(list: &str) -> Vec<&str> {
    split(list, ',')
}

fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                parts.push(&text[from..at]);
                from = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// The address of an entry of `X-Forwarded-For`; some proxies add the port.
fn plain(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: IpAddr = entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bracketed)?;
    Some(address.to_canonical())
}

/// The address of an element of `Forwarded`: `for=192.0.2.60;proto=https`, `For="[2001:db8::1]:4711"`.
fn element(entry: &str) -> Option<IpAddr> {
    let value = split(entry, ';').into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    plain(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, lines: &[(&str, &str)], expected: &str) {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "127.0.0.1/32", "2001:db8::/64"].map(|net| net.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let found = client(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found.to_string(), expected, "{peer} {lines:?}");
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn the_last_untrusted_address_is_the_client() {
        check("127.0.0.1", &[(XFF, "192.0.2.1")], "192.0.2.1");
        check("::ffff:127.0.0.1", &[(XFF, "192.0.2.1:4711")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "6.6.6.6, 192.0.2.1, 10.1.1.1")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "6.6.6.6"), (XFF, "192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[(XFF, "10.0.0.7")], "10.0.0.7");
        check("10.0.0.1", &[(XFF, "[2001:db8:1::1]:80")], "2001:db8:1::1");
        check(
            "2001:db8::1",
            &[("forwarded", "for=6.6.6.6, for=192.0.2.1;proto=https")],
            "192.0.2.1",
        );
        check(
            "10.0.0.1",
            &[("forwarded", "proto=http;For=\"[2001:db8:1::1]:4711\"")],
            "2001:db8:1::1",
        );
    }

    /// Breaks if a client chooses its own address: then it is never locked out, or others are.
    #[test]
    fn what_an_untrusted_side_wrote_means_nothing() {
        check("192.0.2.9", &[(XFF, "6.6.6.6")], "192.0.2.9");
        check("127.0.0.1", &[(XFF, "6.6.6.6, unknown")], "127.0.0.1");
        check("127.0.0.1", &[(XFF, "6.6.6.6, unknown, 10.0.0.3")], "10.0.0.3");
        check("127.0.0.1", &[(XFF, "")], "127.0.0.1");
        check("127.0.0.1", &[("forwarded", "for=_hidden"), (XFF, "6.6.6.6")], "127.0.0.1");
        check("127.0.0.1", &[("forwarded", "for=\"6.6.6.6, for=7.7.7.7")], "127.0.0.1");
        check("127.0.0.1", &[("forwarded", "for=192.0.2.1"), (XFF, "192.0.2.1")], "192.0.2.1");
        check("127.0.0.1", &[], "127.0.0.1");
    }
}
