//! How long a failed transfer waits. Pure: the random number is an argument.
//!
//! Input: the number of failures in a row. Output: the pause before the next attempt. Invariants: attempts never end,
//! because nothing is removed here that is not in the archive; pauses of many servers do not end at the same time.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// The pause after this number of failures, at least one. `random` is between 0 and 1.
pub(super) fn pause(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let pause = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    pause.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_minutes_and_differ() {
        let pauses: Vec<_> = (1..20).map(|failures| pause(failures, 0.5)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses[..3], [1, 2, 4].map(Duration::from_secs));
        assert_eq!(pauses[18], LONGEST);
        assert_eq!(pause(u32::MAX, 0.5), LONGEST);
        assert!(pause(5, 0.0) < pause(5, 1.0));
    }
}
