//! What follows from the outcome of an attempt: success, another attempt, or none. Pure: the clock and the random number
//! are arguments.
//!
//! Input: how often a delivery was tried, the status of the answer. Output: the pause before the next attempt.
//! Invariants: a delivery is tried over days, and given up in the end; what the target asks for is respected, within a
//! day.

use crate::model::time::Timestamp;
use chrono::DateTime;
use std::time::Duration;

/// The pauses between attempts, each longer by a random part of at most a fifth.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// The longest pause that a target can ask for.
pub(super) const LONGEST: Duration = Duration::from_hours(24);

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The target accepted the delivery.
    Delivered,
    /// The target wants no more deliveries.
    Gone,
    /// Anything else: another attempt may succeed.
    Failed,
}

/// What the status of an answer means. A redirect is a failure: it is not followed.
pub(super) fn verdict(status: u16) -> Verdict {
    match status {
        200..=299 => Verdict::Delivered,
        410 => Verdict::Gone,
        _ => Verdict::Failed,
    }
}

/// The pause after this number of failed attempts; `None` to give up. `random` is between 0 and 1. `asked` is what the
/// target asked for by `Retry-After`.
pub(super) fn pause(attempts: u32, random: f64, asked: Option<Duration>) -> Option<Duration> {
    let number = usize::try_from(attempts).unwrap_or(usize::MAX).saturating_sub(1);
    let own = PAUSES.get(number)?.mul_f64(1.0 + 0.2 * random.clamp(0.0, 1.0));
    Some(asked.map_or(own, |asked| own.max(asked.min(LONGEST))))
}

/// The pause that a `Retry-After` asks for: seconds, or a date.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_over_days_and_attempts_end() {
        let pauses: Vec<_> = (1..).map_while(|attempts| pause(attempts, 0.0, None)).collect();
        assert_eq!(pauses.len(), 9);
        assert!(pauses.is_sorted());
        assert!(pauses.iter().sum::<Duration>() > Duration::from_hours(72));
        assert_eq!(pause(1, 1.0, None), Some(Duration::from_secs(6)));
        assert_eq!(pause(10, 0.0, Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_requested_pause_is_respected_within_a_day() {
        let asked = |seconds| pause(1, 0.0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1), Some(Duration::from_secs(5)));
        assert_eq!(asked(60), Some(Duration::from_mins(1)));
        assert_eq!(asked(u64::MAX), Some(LONGEST));
        let now = DateTime::from_timestamp(784_111_767, 0).unwrap();
        assert_eq!(retry_after(" 17 ", now), Some(Duration::from_secs(17)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn statuses_are_success_gone_or_failure() {
        for (status, expected) in [
            (200, Verdict::Delivered),
            (204, Verdict::Delivered),
            (302, Verdict::Failed),
            (400, Verdict::Failed),
            (410, Verdict::Gone),
            (429, Verdict::Failed),
            (503, Verdict::Failed),
        ] {
            assert_eq!(verdict(status), expected, "{status}");
        }
    }
}
