//! Content codings of answers: negotiation, and gzip.
//!
//! Input: the `Accept-Encoding` of a request (RFC 9110, section 12.5.3); the bytes of a document.
//! Output: a coding; the compressed bytes.
//!
//! Invariants: gzip is used if the client accepts it and does not prefer the identity; only
//! documents that are kept in memory are compressed, once for all clients, and never streams; a
//! malformed header requests nothing.

use flate2::{Compression, write::GzEncoder};
use std::{io::Write, ops::RangeInclusive};
use warp::http::{HeaderMap, header::ACCEPT_ENCODING};

/// The sizes of documents that change and are compressed. A smaller one fits into a packet anyway; compressing
/// the largest takes about two milliseconds, and a larger one would delay other requests.
const WORTH: RangeInclusive<usize> = 1024..=256 * 1024;

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is.
    Identity,
    Gzip,
}

/// The client's weight of each coding, in thousandths; `None` for codings that it does not name.
#[derive(Debug, Default)]
struct Weights {
    gzip: Option<u16>,
    identity: Option<u16>,
    /// The weight of codings that it does not name.
    any: Option<u16>,
}

impl Coding {
    /// The coding that the client prefers.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        let mut weights = Weights::default();
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        lines
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .for_each(|item| weights.read(item));
        let Weights { gzip, identity, any } = weights;
        let gzip = gzip.or(any).unwrap_or(0);
        let wanted = gzip > 0 && gzip >= identity.or(any).unwrap_or(0);
        if wanted { Self::Gzip } else { Self::Identity }
    }

    /// The coding for a document of this size.
    pub(crate) fn of(self, bytes: usize) -> Self {
        if WORTH.contains(&bytes) { self } else { Self::Identity }
    }

    /// The same for a document that never changes, so that it is compressed only once.
    pub(crate) fn of_unchanging(self, bytes: usize) -> Self {
        if bytes >= *WORTH.start() { self } else { Self::Identity }
    }
}

impl Weights {
    /// Reads one item of the header, such as `gzip;q=0.5`.
    fn read(&mut self, item: &[u8]) {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = parts.next().map_or(Some(1000), weight) else { return };
        let place = match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => &mut self.gzip,
            b"identity" => &mut self.identity,
            b"*" => &mut self.any,
            _ => return,
        };
        *place = Some(weight);
    }
}

/// The thousandths of a weight such as `q=0.5` (RFC 9110, section 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), rest @ ..] = parameter else { return None };
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let digit = |at: usize| digits.get(at).copied().unwrap_or(b'0');
    let digits = [digit(0), digit(1), digit(2)];
    let value = [*whole].into_iter().chain(digits).try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    (value <= 1000).then_some(value)
}

/// Compresses fast.
pub(crate) fn gzip_fast(bytes: &[u8]) -> Vec<u8> {
    gzip(bytes, Compression::fast())
}

/// Compresses to the smallest size.
pub(crate) fn gzip_small(bytes: &[u8]) -> Vec<u8> {
    gzip(bytes, Compression::best())
}

fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn preferred(lines: &[&[u8]]) -> Coding {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_bytes(line).unwrap());
        }
        Coding::preferred(&headers)
    }

    #[test]
    fn gzip_is_used_if_accepted_and_the_identity_is_not_preferred() {
        for asks in [
            "gzip",
            "GZIP",
            "x-gzip",
            "deflate, gzip;q=1.0, *;q=0.5",
            "br , gzip ; Q=0.001",
            "*",
            "gzip, identity",
            "gzip;q=0.5, identity;q=0.5",
            "gzip;q=0.5",
            "identity;q=0, *",
            ",,gzip,",
        ] {
            assert_eq!(preferred(&[asks.as_bytes()]), Coding::Gzip, "{asks}");
        }
        for does_not in [
            "",
            "identity",
            "deflate, br",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0, *",
            "*;q=0",
            "gzip;q=0.5, identity",
            "gzip;q=0.5, *",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.5000",
            "gzip;q=.5",
            "gzip;q=",
            "gzip;level=1",
            "gzipped",
            "gzip/1",
        ] {
            assert_eq!(preferred(&[does_not.as_bytes()]), Coding::Identity, "{does_not}");
        }
        assert_eq!(preferred(&[]), Coding::Identity);
        assert_eq!(preferred(&[b"br", b"gzip"]), Coding::Gzip, "lines are one list");
        assert_eq!(preferred(&[b"gzip;q=0.5", b"identity"]), Coding::Identity);
        assert_eq!(preferred(&[b"\xff, gzip"]), Coding::Gzip);
    }

    #[test]
    fn only_documents_of_suitable_sizes_are_compressed() {
        for (bytes, coding) in [
            (1023, Coding::Identity),
            (1024, Coding::Gzip),
            (256 * 1024, Coding::Gzip),
            (256 * 1024 + 1, Coding::Identity),
        ] {
            assert_eq!(Coding::Gzip.of(bytes), coding, "{bytes}");
            assert_eq!(Coding::Identity.of(bytes), Coding::Identity);
        }
    }
}
