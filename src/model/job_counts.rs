//! The counts of a job, and its state and pending names that follow from them.
//!
//! Input: the job's master file (if readable), and the counted states of its repositories. Output:
//! complete counts.
//!
//! Invariants: pure; no count is negative, whatever the files contain.

use super::{JobState, RepoState, master::Master, repository::RepositoryStatus, state::Summary};
use std::collections::HashSet;

/// Completes counted states with total and pending: the total is master's, otherwise the number of
/// files. While the repositories are being listed, scans may be ahead of the master file.
pub fn totalled(master: Option<&Master>, counted: Summary) -> Summary {
    let files = counted.total_repositories;
    let total = match master.and_then(|master| master.total_repositories) {
        Some(total) if is_discovering(master) => total.max(files),
        known => known.unwrap_or(files),
    };
    let begun = counted.completed + counted.in_progress + counted.failed;
    Summary { total_repositories: total, pending: total.saturating_sub(begun), ..counted }
}

/// Whether the repositories of the job are still being listed.
pub fn is_discovering(master: Option<&Master>) -> bool {
    master.is_some_and(|master| master.discovering && master.final_state().is_none())
}

/// The state of a job with these counts: while its repositories are being listed, more may follow
/// when all of them are finished.
pub fn state(master: Option<&Master>, summary: &Summary) -> JobState {
    match JobState::derive(master.and_then(Master::final_state), summary) {
        JobState::Processing if is_discovering(master) => JobState::InProgress,
        state => state,
    }
}

/// Master's names that have not started, cut to the number of pending repositories; placeholders
/// only if master has no list.
pub fn pending_names<'a>(
    master: Option<&Master>,
    repositories: impl Iterator<Item = &'a RepositoryStatus>,
    pending: u64,
) -> Vec<String> {
    let count = usize::try_from(pending).unwrap_or(usize::MAX);
    let begun = repositories.filter(|status| status.state != RepoState::Pending);
    if let Some(names) = master.and_then(|master| master.pending_repositories.as_ref()) {
        let begun: HashSet<&str> = begun.filter_map(|status| status.name.as_deref()).collect();
        return names
            .iter()
            .filter(|name| !begun.contains(name.as_str()))
            .take(count)
            .cloned()
            .collect();
    }
    let begun: HashSet<u32> = begun.map(|status| status.index).collect();
    (0..u32::MAX)
        .filter(|index| !begun.contains(index))
        .take(count.min(100_000))
        .map(|index| format!("Repository {} (pending)", index + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Totals;

    fn master(text: &str) -> Master {
        Master::parse(text.as_bytes()).unwrap().0
    }

    /// Fails if the counts of a job differ from each other while its master file is behind its
    /// scans, or if it seems finished while its repositories are still being listed.
    #[test]
    fn counts_reconcile_while_repositories_are_listed() {
        let counted = Summary {
            total_repositories: 5,
            completed: 3,
            reused: 1,
            failed: 2,
            ..Summary::default()
        };
        let listing =
            master(r#"{"total_repositories": 2, "skipped_repositories": 4, "discovering": true}"#);
        let summary = totalled(Some(&listing), counted);
        assert_eq!((summary.total_repositories, summary.pending), (5, 0));
        assert_eq!(state(Some(&listing), &summary), JobState::InProgress, "more may follow");
        let totals = Totals::of(&summary, 4);
        let expected =
            Totals { found: 9, done: 2, reused: 1, failed: 2, skipped: 4, ..Totals::default() };
        assert_eq!(totals, expected);

        let listed = master(r#"{"total_repositories": 6, "discovering": false}"#);
        let summary = totalled(Some(&listed), counted);
        assert_eq!((summary.total_repositories, summary.pending), (6, 1));
        // A master file of another program counts as it is.
        let other = master(r#"{"total_repositories": 5}"#);
        let summary = totalled(Some(&other), counted);
        assert_eq!(state(Some(&other), &summary), JobState::Processing);
        // A final state means that nothing is being listed.
        let over = master(r#"{"discovering": true, "status": "cancelled"}"#);
        assert!(!is_discovering(Some(&over)));
    }
}
