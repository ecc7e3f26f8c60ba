//! The validity period of a certificate.
//!
//! Of X.509 (RFC 5280) only the parts before the validity are parsed, to skip them:
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate SEQUENCE {
//!     [0] version OPTIONAL, serialNumber, signature, issuer,
//!     validity SEQUENCE { notBefore Time, notAfter Time }, … }, … }
//! ```
//!
//! Input: the bytes of a certificate in DER. Output: two instants.
//!
//! Invariants: other bytes yield nothing, and never a panic.

use crate::model::time::Timestamp;
use chrono::{NaiveDate, TimeDelta, Utc};

/// DER tags.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// How long before its expiry a certificate is reported; a short-lived one in the last third of its
/// validity.
const NOTICE: TimeDelta = TimeDelta::days(14);

/// The validity period of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Validity {
    /// Parses a certificate in DER.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (mut certificate, _) = inside(certificate, SEQUENCE)?;
        let (mut rest, _) = inside(certificate, SEQUENCE)?;
        certificate = rest;
        if certificate.first() == Some(&VERSION) {
            rest = element(rest)?.2;
        }
        // Serial number, signature, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (validity, _) = inside(rest, SEQUENCE)?;
        let (tag, from, rest) = element(validity)?;
        let from = instant(tag, from)?;
        let (tag, to, _) = element(rest)?;
        Some(Self { from, to: instant(tag, to)? })
    }

    /// The problem of the certificate at this time, or soon.
    pub(super) fn problem(&self, now: Timestamp) -> Option<String> {
        let Self { from, to } = *self;
        let notice = NOTICE.min((to - from) / 3);
        let day = |time: Timestamp| time.format("%Y-%m-%d %H:%M UTC");
        if now < from {
            return Some(format!(
                "the certificate is not valid before {}: clients refuse it",
                day(from)
            ));
        }
        if now > to {
            return Some(format!(
                "the certificate expired on {}: clients refuse it; replace it",
                day(to)
            ));
        }
        (to - now < notice)
            .then(|| format!("the certificate expires on {}: replace it before", day(to)))
    }
}

/// The content of an element with this tag, and the bytes after it.
fn inside(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// The first element: its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        // The long form: this many bytes of length. DER has no indefinite length.
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`: RFC 5280 allows no other form.
fn instant(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = digits.split_at(2);
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return None,
    };
    let mut pairs = rest.chunks(2).map(number);
    let mut next = || pairs.next();
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    date.and_hms_opt(hour, minute, second)?.and_local_timezone(Utc).single()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike};

    fn at(text: &str) -> Timestamp {
        text.parse::<DateTime<Utc>>().unwrap()
    }

    fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["scan.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_parsed() {
        let of = |from, to| Validity::of(&certificate(from, to)).unwrap();
        let validity = of((2024, 2, 29), (2049, 12, 31));
        assert_eq!(validity.from, at("2024-02-29T00:00:00Z"));
        assert_eq!(validity.to, at("2049-12-31T00:00:00Z"));
        let validity = of((1975, 1, 1), (4096, 1, 1));
        assert_eq!((validity.from.year(), validity.to.year()), (1975, 4096));
        assert_eq!(instant(UTC_TIME, b"491231235959Z"), Some(at("2049-12-31T23:59:59Z")));
        assert_eq!(instant(UTC_TIME, b"500101000000Z"), Some(at("1950-01-01T00:00:00Z")));
        let never = instant(GENERALIZED_TIME, b"99991231235959Z").unwrap();
        assert_eq!(never.year(), 9999);
        for (tag, text) in [
            (UTC_TIME, "20240229000000Z"),
            (GENERALIZED_TIME, "240229000000Z"),
            (UTC_TIME, "240230000000Z"),
            (UTC_TIME, "2402290000Z"),
            (UTC_TIME, "240229000000+0100"),
            (UTC_TIME, "24022900000xZ"),
            (UTC_TIME, "Z"),
            (0x0c, "240229000000Z"),
        ] {
            assert_eq!(instant(tag, text.as_bytes()), None, "{tag} {text}");
        }
    }

    #[test]
    fn other_bytes_yield_nothing() {
        let good = certificate((2024, 1, 1), (2034, 1, 1));
        // Truncated anywhere, and with any single byte changed.
        for length in 0..good.len() {
            assert_eq!(Validity::of(&good[..length]), None, "{length} bytes");
        }
        for position in 0..good.len().min(200) {
            for value in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[position] = value;
                let _ = Validity::of(&bad);
            }
        }
        for bytes in [&[0x30, 0x80][..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x89]] {
            assert_eq!(Validity::of(bytes), None);
        }
    }

    #[test]
    fn a_near_expiry_is_a_problem() {
        let year = Validity { from: at("2026-01-01T00:00:00Z"), to: at("2027-01-01T00:00:00Z") };
        let week = Validity { from: at("2026-01-01T00:00:00Z"), to: at("2026-01-07T00:00:00Z") };
        for (validity, now, expected) in [
            (year, "2025-12-31T23:59:59Z", Some("not valid before 2026-01-01 00:00 UTC")),
            (year, "2026-12-17T23:59:59Z", None),
            (year, "2026-12-18T00:00:01Z", Some("expires on 2027-01-01 00:00 UTC")),
            (year, "2027-01-01T00:00:01Z", Some("expired on 2027-01-01 00:00 UTC")),
            (week, "2026-01-04T23:59:59Z", None),
            (week, "2026-01-05T00:00:01Z", Some("expires on 2026-01-07")),
        ] {
            let problem = validity.problem(at(now));
            assert_eq!(problem.is_some(), expected.is_some(), "{now}: {problem:?}");
            assert!(problem.unwrap_or_default().contains(expected.unwrap_or("")), "{now}");
        }
    }
}
