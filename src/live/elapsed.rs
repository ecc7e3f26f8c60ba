//! How long a job has been running.
//!
//! Input: the times in its master file, and both clocks at the moment when the file is read.
//! Output: seconds.
//!
//! Invariants: while a job runs, its seconds grow by the monotonic clock alone, so a change of the
//! wall clock has no effect. The wall clock is used once, for the age of the job when it is first
//! seen. After the job has finished, the times in its file apply, unless this server saw the whole
//! job and measured another duration.

use crate::model::time::Timestamp;
use std::time::{Duration, Instant};

/// A job that is not older than this when it is first seen counts as seen from its start.
const FRESH: Duration = Duration::from_secs(5);
/// If the times in the file differ from the measured duration by at most this, the file applies:
/// after a restart the server knows nothing else.
const TOLERANCE: u64 = 5;

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Instant,
}

/// How long a job has been running.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Elapsed {
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    /// When the start was first seen, and its age by the wall clock at that moment.
    first_seen: Option<(Instant, Duration)>,
    /// The measured duration, if both start and end were seen.
    measured: Option<Duration>,
}

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        Self { wall: chrono::Utc::now(), monotonic: Instant::now() }
    }
}

impl Elapsed {
    /// Records the times that the file contains now.
    pub(super) fn note(
        &mut self,
        started_at: Option<Timestamp>,
        completed_at: Option<Timestamp>,
        now: Moment,
    ) {
        if self.started_at != started_at {
            let age = |start: Timestamp| (now.wall - start).to_std().unwrap_or_default();
            let first_seen = started_at.map(|start| (now.monotonic, age(start)));
            *self = Self { started_at, first_seen, completed_at: None, measured: None };
        }
        if self.completed_at == completed_at {
            return;
        }
        self.completed_at = completed_at;
        self.measured = self
            .first_seen
            .filter(|(seen, age)| completed_at.is_some() && *age <= FRESH && *seen < now.monotonic)
            .map(|(seen, age)| now.monotonic - seen + age);
    }

    /// Whole seconds from the start to the end, or to now; 0 if no start is known.
    pub(super) fn seconds(&self, now: Instant) -> u64 {
        let Some((seen, age)) = self.first_seen else { return 0 };
        let Some((start, end)) = self.started_at.zip(self.completed_at) else {
            return (now.saturating_duration_since(seen) + age).as_secs();
        };
        let of_file = u64::try_from((end - start).num_seconds()).unwrap_or(0);
        match self.measured.map(|measured| measured.as_secs()) {
            Some(measured) if of_file.abs_diff(measured) > TOLERANCE => measured,
            _ => of_file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    /// Both clocks after `seconds`, with the wall clock set ahead by `ahead` seconds.
    fn moment(begin: Moment, seconds: u64, ahead: i64) -> Moment {
        let passed = TimeDelta::seconds(i64::try_from(seconds).unwrap() + ahead);
        Moment {
            wall: begin.wall + passed,
            monotonic: begin.monotonic + Duration::from_secs(seconds),
        }
    }

    #[test]
    fn setting_the_wall_clock_does_not_change_the_seconds_of_a_running_job() {
        let begin = Moment::now();
        for ahead in [0, 48 * 3600, -48 * 3600] {
            let mut elapsed = Elapsed::default();
            elapsed.note(Some(begin.wall), None, begin);
            let later = moment(begin, 7, ahead);
            elapsed.note(Some(begin.wall), None, later);
            assert_eq!(elapsed.seconds(later.monotonic), 7, "{ahead}");
            // The end is written by the clock that was set.
            let end = moment(begin, 9, ahead);
            elapsed.note(Some(begin.wall), Some(end.wall), end);
            assert_eq!(elapsed.seconds(moment(begin, 1000, ahead).monotonic), 9, "{ahead}");
        }
    }

    #[test]
    fn the_times_in_the_file_apply_if_nothing_else_was_measured() {
        let now = Moment::now();
        let (start, end) = (now.wall - TimeDelta::hours(3), now.wall - TimeDelta::hours(1));
        let mut elapsed = Elapsed::default();
        elapsed.note(Some(start), Some(end), now);
        assert_eq!(elapsed.seconds(now.monotonic), 2 * 3600);
        // The job continues, and finishes again.
        elapsed.note(Some(start), None, now);
        assert_eq!(elapsed.seconds(now.monotonic + Duration::from_secs(5)), 3 * 3600 + 5);
        elapsed.note(Some(start), Some(end), moment(now, 10, 0));
        assert_eq!(elapsed.seconds(now.monotonic), 2 * 3600);
    }

    #[test]
    fn no_duration_is_negative() {
        let now = Moment::now();
        let mut elapsed = Elapsed::default();
        assert_eq!(elapsed.seconds(now.monotonic), 0);
        elapsed.note(Some(now.wall + TimeDelta::hours(1)), None, now);
        assert_eq!(elapsed.seconds(now.monotonic), 0);
        elapsed.note(Some(now.wall), Some(now.wall - TimeDelta::hours(1)), now);
        assert_eq!(elapsed.seconds(now.monotonic), 0);
    }
}
