//! The report at the end of a job: how many repositories were completed, failed and skipped, and why.
//!
//! Input: final states, and the plan. Output: counts, and one line for people. Invariant: the size
//! does not grow with the number of repositories.

use super::{FailureKind, RepoState, plan::PlannedRepository};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The number of reasons that are counted each for itself.
const REASONS: usize = 50;
/// All further ones.
const OTHER_REASONS: &str = "other reasons";

/// The report at the end of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// How many repositories were completed.
    pub completed: u64,
    /// How many failed, by `failure.kind`.
    #[serde(default)]
    pub failed: BTreeMap<String, u64>,
    /// How many repositories of a group were skipped, by reason; at most 50 reasons, and `other
    /// reasons`.
    #[serde(default)]
    pub skipped: BTreeMap<String, u64>,
}

impl Report {
    /// Counts a repository in its final state; any other state counts as none.
    pub fn count(&mut self, state: RepoState, kind: Option<FailureKind>) {
        // A scanner that writes `failed` without a cause has exited with that.
        let cause = match state {
            RepoState::Pending | RepoState::Working(_) => return,
            RepoState::Completed => {
                self.completed += 1;
                return;
            }
            RepoState::Failed => kind.unwrap_or(FailureKind::Exit),
            RepoState::TimedOut => kind.unwrap_or(FailureKind::Timeout),
            RepoState::Cancelled => kind.unwrap_or(FailureKind::Cancelled),
        };
        *self.failed.entry(cause.as_str().to_owned()).or_default() += 1;
    }

    /// Counts the skipped ones among these rows of the plan, by reason.
    pub fn count_skipped(&mut self, rows: &[PlannedRepository]) {
        for reason in rows.iter().filter_map(|row| row.skipped.as_deref()) {
            let is_counted = self.skipped.len() < REASONS || self.skipped.contains_key(reason);
            let reason = if is_counted { reason } else { OTHER_REASONS };
            *self.skipped.entry(reason.to_owned()).or_default() += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} completed", self.completed)?;
        for (counts, word) in [(&self.failed, "failed"), (&self.skipped, "skipped")] {
            let all: u64 = counts.values().sum();
            write!(f, ", {all} {word}")?;
            for (at, (reason, count)) in counts.iter().enumerate() {
                write!(f, "{}{count} {reason}", if at == 0 { " (" } else { ", " })?;
            }
            if !counts.is_empty() {
                write!(f, ")")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Plan;

    /// Fails if a repository is counted for another cause, twice or not at all.
    #[test]
    fn every_final_state_is_counted_once_by_its_cause() {
        let mut report = Report::default();
        for (state, kind) in [
            (RepoState::Completed, None),
            (RepoState::Failed, Some(FailureKind::Clone)),
            (RepoState::Failed, Some(FailureKind::Clone)),
            (RepoState::Failed, None),
            (RepoState::TimedOut, None),
            (RepoState::TimedOut, Some(FailureKind::Stalled)),
            (RepoState::Cancelled, None),
            (RepoState::Pending, None),
        ] {
            report.count(state, kind);
        }
        assert_eq!(
            report.to_string(),
            "1 completed, 6 failed (1 cancelled, 2 clone, 1 exit, 1 stalled, 1 timeout), 0 skipped"
        );
    }

    /// Fails if a plan of many different reasons makes a report of unbounded size, or loses one.
    #[test]
    fn reasons_are_counted_and_bounded() {
        let mut plan = Plan::of((0..200).map(|n| (format!("r{n}"), String::new())));
        for (number, row) in plan.repositories.iter_mut().enumerate() {
            let reason = match number {
                0..5 => None,
                5..100 => Some("the repository is empty".to_owned()),
                number => Some(format!("excluded by {number}")),
            };
            row.skipped = reason;
        }
        let mut report = Report::default();
        // Page by page.
        plan.repositories.chunks(30).for_each(|page| report.count_skipped(page));
        let skipped = report.skipped;
        assert_eq!((skipped.len(), skipped["the repository is empty"]), (REASONS + 1, 95));
        assert_eq!(skipped.values().sum::<u64>(), 195);
        assert_eq!(skipped[OTHER_REASONS], 51);
    }
}
