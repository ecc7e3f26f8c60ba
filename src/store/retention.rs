//! The retention rules for finished jobs: pure, without a disk.
//!
//! Input: what a job's files say, and the clocks. Output: whether the job has expired. Invariants:
//! a job that runs, or might run, is never removed; a wall clock that was set ahead does not remove
//! young jobs.

use crate::model::{progress::JobFacts, time::Timestamp};
use std::time::Duration;

/// By how much the wall clock may run ahead of the monotonic clock between two checks: corrections
/// of a synchronized clock are far smaller.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Whether a job has expired, counted from its end. A job without a final state, or with a
/// repository that is being scanned, never expires, whatever the clock says.
pub fn is_expired(
    job: &JobFacts,
    ended_at: Option<Timestamp>,
    retention: Duration,
    now: Timestamp,
) -> bool {
    let Some(ended_at) = ended_at.filter(|_| job.state.is_final()) else {
        return false;
    };
    let age = (now - ended_at).to_std().unwrap_or_default();
    job.summary.in_progress == 0 && age > retention
}

/// Distinguishes elapsed time from a wall clock that was set ahead.
///
/// After such a jump the ages of all jobs are wrong, so nothing is removed until the retention time
/// has really passed: whatever existed at the jump is old enough then by any clock.
#[derive(Debug)]
pub struct Clock {
    wall: Timestamp,
    /// A monotonic time with an arbitrary origin.
    steady: Duration,
    distrusted_until: Option<Duration>,
}

impl Clock {
    /// Trusts the current wall clock.
    pub fn new(wall: Timestamp, steady: Duration) -> Self {
        Self { wall, steady, distrusted_until: None }
    }

    /// Whether ages by the wall clock can be trusted now.
    pub fn is_trusted(&mut self, wall: Timestamp, steady: Duration, retention: Duration) -> bool {
        let passed = steady.saturating_sub(self.steady);
        let claimed = (wall - self.wall).to_std().unwrap_or_default();
        (self.wall, self.steady) = (wall, steady);
        let ahead = claimed.saturating_sub(passed);
        if ahead > TOLERANCE {
            tracing::warn!(
                seconds = ahead.as_secs(),
                "the wall clock was set ahead; from now on no expired job is removed for the whole retention time; if the new time is right, a restart ends the delay"
            );
            self.distrusted_until = Some(steady + retention);
        }
        if self.distrusted_until.is_some_and(|until| steady >= until) {
            self.distrusted_until = None;
        }
        self.distrusted_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobState, state::Summary};
    use chrono::TimeDelta;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn only_finished_jobs_expire_and_a_clock_set_back_removes_nothing() {
        let now = Timestamp::default() + TimeDelta::days(1000);
        let job = |state, in_progress| JobFacts {
            folder_time: Timestamp::default(),
            id: "a".parse().unwrap(),
            url: None,
            state,
            summary: Summary { in_progress, ..Summary::default() },
            skipped: 0,
            discovering: false,
            discovery_errors: 0,
            started_at: None,
            completed_at: None,
            error: None,
            schedule: None,
            fraction: 0.0,
            paused: false,
            archived: false,
        };
        for (state, hours_ago, in_progress, expired) in [
            (JobState::Completed, Some(25), 0, true),
            (JobState::Failed, Some(25), 0, true),
            (JobState::Completed, Some(23), 0, false),
            (JobState::Completed, Some(-48), 0, false),
            (JobState::Completed, None, 0, false),
            (JobState::Cancelled, Some(25), 1, false),
            (JobState::InProgress, Some(25), 0, false),
            (JobState::Processing, Some(25), 0, false),
        ] {
            let ended_at = hours_ago.map(|hours: i64| now - TimeDelta::hours(hours));
            assert_eq!(
                is_expired(&job(state, in_progress), ended_at, DAY, now),
                expired,
                "{state} {hours_ago:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_was_set_ahead_is_trusted_after_the_retention_time() {
        let start = Timestamp::default() + TimeDelta::days(1000);
        let mut clock = Clock::new(start, Duration::ZERO);
        // Hours by the wall clock, elapsed hours, whether the clock is trusted.
        for (wall, steady, trusted) in [
            (0, 0, true),
            (1, 1, true),
            (50, 2, false), // 48 ahead
            (73, 25, false),
            (74, 26, true),
            (27, 27, true),  // set back again
            (76, 28, false), // and ahead
            (78, 30, false),
            (100, 52, true),
            (300, 252, true), // a long sleep, and nothing wrong with it
        ] {
            let now = start + TimeDelta::hours(wall);
            let passed = Duration::from_hours(steady);
            assert_eq!(clock.is_trusted(now, passed, DAY), trusted, "{wall} {steady}");
        }
        let slewed = start + TimeDelta::hours(301) + TimeDelta::minutes(4);
        assert!(clock.is_trusted(slewed, Duration::from_hours(253), DAY));
    }
}
