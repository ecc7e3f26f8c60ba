//! How good the published estimates of the time that jobs take were.
//!
//! Input: the facts of a job at each change. Output: for each job that ends, how wrong the estimates
//! were that clients had seen at a quarter, half and three quarters of it.
//!
//! Invariants: only jobs that this server saw from their start count, once each; a job that was
//! paused or cancelled does not, because its duration does not measure its estimates; the memory for a
//! job is fixed.

use crate::{
    measure::Histogram,
    model::{JobState, progress::JobFacts, time::Timestamp},
};
use chrono::Utc;
use std::time::Duration;

/// Where estimates are compared, and the value of the label.
const MARKS: [(f64, &str); 3] = [(0.25, "25"), (0.5, "50"), (0.75, "75")];
/// From an estimate that was right to one that was wrong by ten times.
const BOUNDS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0];

/// The errors of all estimates: the difference of estimate and truth, divided by the truth.
#[derive(Debug)]
pub(super) struct EstimateErrors {
    /// Older jobs were not seen from their start.
    since: Timestamp,
    errors: [Histogram; MARKS.len()],
}

impl EstimateErrors {
    /// For jobs that start from now on.
    pub(super) fn new() -> Self {
        Self { since: Utc::now(), errors: MARKS.map(|_| Histogram::new(BOUNDS)) }
    }

    /// The errors by the value of the label `at`.
    pub(super) fn by_mark(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        MARKS.iter().map(|(_, label)| *label).zip(&self.errors)
    }
}

/// The estimates of one job.
#[derive(Debug, Default)]
pub(super) enum Estimates {
    /// None was published yet.
    #[default]
    None,
    Published(Box<Published>),
    /// The job counts no more.
    Closed,
}

/// What clients saw at each mark: the elapsed seconds, and the estimated seconds left.
#[derive(Debug, Default)]
pub(super) struct Published {
    fraction: f64,
    seen: [Option<(u64, u64)>; MARKS.len()],
}

impl Estimates {
    /// Takes in the facts after a change. `elapsed`: the seconds since the start.
    pub(super) fn note(&mut self, facts: &JobFacts, elapsed: u64, errors: &EstimateErrors) {
        let is_known = facts.started_at.is_some_and(|start| start >= errors.since);
        let ignored = match self {
            Self::Closed => true,
            Self::None => !is_known,
            Self::Published(_) => false,
        };
        if ignored {
            return;
        }
        match self {
            _ if facts.paused || facts.state == JobState::Cancelled => *self = Self::Closed,
            _ if facts.state.is_final() => {
                if let Self::Published(published) = std::mem::replace(self, Self::Closed) {
                    published.compare(elapsed, errors);
                }
            }
            Self::None if facts.fraction > 0.0 => {
                let mut published = Box::<Published>::default();
                published.note(facts, elapsed);
                *self = Self::Published(published);
            }
            Self::Published(published) => published.note(facts, elapsed),
            Self::None | Self::Closed => {}
        }
    }
}

impl Published {
    /// Keeps the estimate at the first passing of each mark. If one change passes several, only the
    /// last was published.
    fn note(&mut self, facts: &JobFacts, elapsed: u64) {
        let passed = |mark: f64| self.fraction < mark && mark <= facts.fraction;
        let last = MARKS.iter().rposition(|(mark, _)| passed(*mark));
        if let Some(seen) = last.and_then(|at| self.seen.get_mut(at))
            && seen.is_none()
            && facts.fraction < 1.0
        {
            *seen = facts.eta_seconds(elapsed).map(|eta| (elapsed, eta));
        }
        self.fraction = self.fraction.max(facts.fraction);
    }

    fn compare(&self, took: u64, errors: &EstimateErrors) {
        for (seen, errors) in self.seen.iter().zip(&errors.errors) {
            let Some((elapsed, eta)) = *seen else { continue };
            let left = took.saturating_sub(elapsed);
            // Whole seconds: less than one counts as one.
            let error = Duration::from_secs(eta.abs_diff(left)).as_secs_f64()
                / Duration::from_secs(left.max(1)).as_secs_f64();
            errors.observe(Duration::try_from_secs_f64(error).unwrap_or(Duration::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measure::Text, model::state::Summary};

    fn facts(state: JobState, fraction: f64) -> JobFacts {
        JobFacts {
            id: "job".parse().unwrap(),
            url: None,
            state,
            summary: Summary::default(),
            started_at: Some(Utc::now()),
            folder_time: Timestamp::UNIX_EPOCH,
            completed_at: None,
            error: None,
            schedule: None,
            skipped: 0,
            discovering: false,
            discovery_errors: 0,
            fraction,
            paused: false,
            archived: false,
        }
    }

    /// The sums of the errors at the three marks, after these changes of one job.
    fn errors_of(changes: &[(JobFacts, u64)]) -> Vec<String> {
        let errors = EstimateErrors::new();
        let started_at = Some(Utc::now());
        let mut estimates = Estimates::default();
        for (facts, elapsed) in changes {
            let started_at = facts.started_at.and(started_at);
            estimates.note(&JobFacts { started_at, ..facts.clone() }, *elapsed, &errors);
        }
        let sum = |(label, histogram): (&str, &Histogram)| {
            let mut text = Text::default();
            text.histogram(&[("at", label)], histogram);
            let text = text.finish();
            let value = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name)).unwrap();
                line.rsplit(' ').next().unwrap().to_owned()
            };
            format!("{}: {} in {}", label, value("_sum"), value("_count"))
        };
        errors.by_mark().map(sum).collect()
    }

    /// Fails if an estimate is compared with anything but the rest that it was an estimate of.
    #[test]
    fn the_estimate_at_each_mark_is_compared_with_the_rest_of_the_time() {
        let working = |fraction| facts(JobState::InProgress, fraction);
        // At 30 % after 30 s: 70 s left. At 60 % after 120 s: 80 s. The truth: 200 s.
        let changes = [
            (working(0.1), 10),
            (working(0.3), 30),
            (working(0.35), 100),
            (working(0.6), 120),
            (working(1.0), 199),
            (facts(JobState::Completed, 1.0), 200),
            // A second end, after a retry, is not compared.
            (working(0.5), 900),
            (facts(JobState::Completed, 1.0), 1000),
        ];
        // |70 - 170| / 170, and |80 - 80| / 80.
        assert_eq!(errors_of(&changes), ["25: 0.588235 in 1", "50: 0 in 1", "75: 0 in 0"]);
    }

    /// Fails if a job counts whose end says nothing about its estimates: one that was paused, that was
    /// cancelled, or whose start this server has not seen.
    #[test]
    fn jobs_that_were_paused_cancelled_or_found_do_not_count() {
        let working = |fraction| facts(JobState::InProgress, fraction);
        let end = (facts(JobState::Completed, 1.0), 20);
        let paused = JobFacts { paused: true, ..working(0.4) };
        let found = JobFacts { started_at: None, ..working(0.3) };
        for (what, changes) in [
            ("paused", vec![(working(0.3), 3), (paused, 5), end.clone()]),
            ("cancelled", vec![(working(0.3), 3), (facts(JobState::Cancelled, 0.4), 9)]),
            (
                "found",
                vec![(found.clone(), 3), (JobFacts { started_at: None, ..end.0.clone() }, 9)],
            ),
            ("one step", vec![(working(1.0), 3), end]),
        ] {
            let errors = errors_of(&changes);
            assert!(errors.iter().all(|line| line.ends_with("0 in 0")), "{what}: {errors:?}");
        }
    }
}
