//! Times in files and answers: RFC 3339 in UTC; Unix seconds are read, too.
//!
//! Input: text and numbers. Output: times. Invariants: a time before 1970 or after 2100 is invalid:
//! it is a number in another unit (milliseconds would be the year 58,000), from a clock that was
//! never set, or a placeholder for "never", and would sort before or after all others for ever.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Number, Value};
use std::time::Duration;

/// An instant of the wall clock, in UTC.
pub type Timestamp = DateTime<Utc>;

/// RFC 3339 with milliseconds and `Z`, the only format that scanwatch writes.
pub fn format(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The first invalid second: 2100-01-01.
pub(super) const TOO_LATE: i64 = 4_102_444_800;

/// Parses RFC 3339 text or Unix seconds (whole or fractional); `None` for anything else, and for an
/// impossible time.
///
/// A text without an offset, as Python's `datetime.isoformat()` writes for a naive time, is taken
/// as UTC.
pub fn parse(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => of_text(text),
        Value::Number(number) => of_number(number),
        _ => None,
    }
}

/// As [`parse`], for a text.
pub fn of_text(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .ok()
        .or_else(|| Some(text.parse::<chrono::NaiveDateTime>().ok()?.and_utc()))
        .filter(is_sane)
}

/// As [`parse`], for a number.
pub fn of_number(number: &Number) -> Option<Timestamp> {
    let seconds = number.as_f64()?;
    // Larger numbers would leave the range of chrono (year 262,142) in the product below.
    if seconds.abs() > 8.0e12 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    DateTime::from_timestamp_micros((seconds * 1e6).round() as i64).filter(is_sane)
}

/// The time a while after another one; at the latest the last valid one, so that it can be read again.
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    let last = DateTime::from_timestamp_millis(TOO_LATE * 1000 - 1).unwrap_or(Timestamp::MAX_UTC);
    let sum = TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by));
    sum.map_or(last, |sum| sum.min(last))
}

fn is_sane(at: &Timestamp) -> bool {
    (0..TOO_LATE).contains(&at.timestamp())
}

/// For `#[serde(with = "…")]`: the format of [`format()`]; for `Option`s see [`option`].
pub fn serialize<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*at))
}

/// The counterpart of [`serialize`]; reads what [`parse`] reads.
pub fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let value = <Value as serde::Deserialize>::deserialize(from)?;
    parse(&value).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time or Unix seconds"))
}

/// As the outer functions, for a time that may be absent (`null`).
pub mod option {
    use super::Timestamp;

    /// Writes the time or `null`.
    pub fn serialize<S: serde::Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    /// Reads a time, or `null`.
    pub fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let value = <serde_json::Value as serde::Deserialize>::deserialize(from)?;
        if value.is_null() {
            return Ok(None);
        }
        super::parse(&value)
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time or Unix seconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: &Value, expected: Option<&str>) {
        assert_eq!(parse(value).map(format).as_deref(), expected, "{value}");
    }

    #[test]
    fn text_and_numbers_are_read() {
        check(&json!("2024-01-02T01:00:00+01:00"), Some("2024-01-02T00:00:00.000Z"));
        check(&json!("2024-01-02T00:00:00.25Z"), Some("2024-01-02T00:00:00.250Z"));
        check(&json!("2024-01-02T00:00:00.123456"), Some("2024-01-02T00:00:00.123Z"));
        check(&json!(1_704_067_200), Some("2024-01-01T00:00:00.000Z"));
        check(&json!(1_704_067_200.5), Some("2024-01-01T00:00:00.500Z"));
    }

    #[test]
    fn invalid_times_are_absent() {
        for value in [json!("yesterday"), json!(1e300), json!(-1e300), json!([]), json!(null)] {
            check(&value, None);
        }
    }

    /// Breaks if Unix milliseconds, or a placeholder for "never", sort after all times for ever.
    #[test]
    fn impossible_times_are_absent() {
        for value in [
            json!(1_704_067_200_000_i64),
            json!(-1),
            json!(4_102_444_800_i64),
            json!("9999-12-31T23:59:59Z"),
            json!("0001-01-01T00:00:00"),
            json!("2100-01-01T00:00:00Z"),
        ] {
            check(&value, None);
        }
        check(&json!(0), Some("1970-01-01T00:00:00.000Z"));
        check(&json!("2099-12-31T23:59:59.999Z"), Some("2099-12-31T23:59:59.999Z"));
    }

    /// Breaks if a retention of many years gives a time that cannot be read, or panics.
    #[test]
    fn a_later_time_can_always_be_read() {
        let at = of_text("2026-01-02T03:04:05.678Z").unwrap();
        for (hours, expected) in [
            (720, "2026-02-01T03:04:05.678Z"),
            (1_000_000, "2099-12-31T23:59:59.999Z"),
            (u64::MAX / 3600, "2099-12-31T23:59:59.999Z"),
        ] {
            let text = format(later(at, Duration::from_secs(hours * 3600)));
            assert_eq!((text.as_str(), of_text(&text).is_some()), (expected, true));
        }
        assert_eq!(later(at, Duration::MAX), later(at, Duration::from_secs(u64::MAX)));
    }
}
