//! How long finished jobs are kept: the rule alone, without a clock or a disk.

use crate::model::{progress::JobFacts, time::Timestamp};
use std::time::Duration;

/// Whether a job's time is over. Counted from its completion; a job that runs, or whose
/// completion nobody wrote down, is never removed, whatever the clock says.
pub fn is_expired(job: &JobFacts, retention: Duration, now: Timestamp) -> bool {
    let Some(completed_at) = job.completed_at.filter(|_| job.state.is_final()) else {
        return false;
    };
    let age = (now - completed_at).to_std().unwrap_or_default();
    job.summary.in_progress == 0 && age > retention
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobState, state::Summary};
    use chrono::TimeDelta;

    #[test]
    fn only_finished_jobs_expire_and_a_clock_set_back_removes_nothing() {
        let now = Timestamp::default() + TimeDelta::days(1000);
        let job = |state, hours_ago: Option<i64>, in_progress| JobFacts {
            id: "a".parse().unwrap(),
            url: None,
            state,
            summary: Summary { in_progress, ..Summary::default() },
            started_at: None,
            completed_at: hours_ago.map(|hours| now - TimeDelta::hours(hours)),
            error: None,
            fraction: 0.0,
        };
        let day = Duration::from_hours(24);
        for (state, hours_ago, in_progress, expired) in [
            (JobState::Completed, Some(25), 0, true),
            (JobState::Failed, Some(25), 0, true),
            (JobState::Completed, Some(23), 0, false),
            (JobState::Completed, Some(-48), 0, false),
            (JobState::Completed, None, 0, false),
            (JobState::Cancelled, Some(25), 1, false),
            (JobState::InProgress, Some(25), 0, false),
        ] {
            assert_eq!(
                is_expired(&job(state, hours_ago, in_progress), day, now),
                expired,
                "{state} {hours_ago:?}"
            );
        }
    }
}
