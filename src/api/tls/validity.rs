//! The validity period of a certificate.
//!
//! Of X.509 (RFC 5280) only the fields before the validity are parsed, to skip them:
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
use chrono::TimeDelta;
use der::{
    Decode, Reader, SliceReader, Tag,
    asn1::{GeneralizedTime, SequenceRef, UtcTime},
};

/// The tag of the version.
const VERSION: u8 = 0xa0;

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
        Self::parse(certificate).ok()
    }

    fn parse(certificate: &[u8]) -> der::Result<Self> {
        let certificate: &SequenceRef = SliceReader::new(certificate)?.decode()?;
        let to_be_signed: &SequenceRef = SliceReader::new(certificate.as_bytes())?.decode()?;
        let mut fields = SliceReader::new(to_be_signed.as_bytes())?;
        if fields.peek_byte() == Some(VERSION) {
            fields.tlv_bytes()?;
        }
        for _field in ["serialNumber", "signature", "issuer"] {
            fields.tlv_bytes()?;
        }
        fields.sequence(|period| Ok(Self { from: instant(period)?, to: instant(period)? }))
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

/// A `Time`: RFC 5280 allows two types.
fn instant(reader: &mut SliceReader<'_>) -> der::Result<Timestamp> {
    let time = match Tag::peek(reader)? {
        Tag::UtcTime => UtcTime::decode(reader)?.to_system_time(),
        _ => GeneralizedTime::decode(reader)?.to_system_time(),
    };
    Ok(time.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Datelike, Utc};

    /// DER tags.
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;

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
        let parsed = |tag: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let element = [&[tag, length], text.as_bytes()].concat();
            instant(&mut SliceReader::new(&element).unwrap()).ok()
        };
        assert_eq!(parsed(UTC_TIME, "491231235959Z"), Some(at("2049-12-31T23:59:59Z")));
        assert_eq!(parsed(UTC_TIME, "700101000000Z"), Some(at("1970-01-01T00:00:00Z")));
        let never = parsed(GENERALIZED_TIME, "99991231235959Z").unwrap();
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
            assert_eq!(parsed(tag, text), None, "{tag} {text}");
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
