//! What a submission would scan, and what not and why.
//!
//! Input: a plan. Output: the document that a dry run answers with. Invariant: the counts are those of the
//! rows.

use super::{
    listing::{ListingError, ListingErrors},
    master::ScanType,
    plan::{Plan, PlannedRepository, SkipCounts, SkipKind},
};
use serde::Serialize;

/// What a submission would do.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct DryRun<'a> {
    /// The URL, as submitted.
    pub git_url: &'a str,
    pub scan_type: ScanType,
    /// The number of all rows.
    pub total: usize,
    /// How many repositories would be scanned.
    pub to_scan: usize,
    pub skipped: usize,
    /// How many repositories would fail, because they must not be contacted.
    pub refused: usize,
    /// The number of skipped repositories, by kind of reason.
    pub skipped_by_reason: SkipCounts,
    /// What could not be listed: the first errors. The repositories of it are not among the rows.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub discovery_errors: &'a [ListingError],
    /// The number of all of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub discovery_errors_total: u64,
    pub repositories: Vec<DryRunRow<'a>>,
}

/// What a submission would do with one repository.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
pub struct DryRunRow<'a> {
    pub repo_name: &'a str,
    pub git_url: &'a str,
    pub action: Action,
    /// Why the repository is skipped or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The kind of the reason why it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<SkipKind>,
}

/// What happens to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Scan,
    /// It is not scanned, and does not count.
    Skip,
    /// It counts, and fails without being contacted.
    Refuse,
}

impl<'a> DryRun<'a> {
    /// The counts of a plan, without its rows, and what could not be listed.
    pub fn counts(
        git_url: &'a str,
        scan_type: ScanType,
        plan: &Plan,
        errors: &'a ListingErrors,
    ) -> Self {
        let count = |wanted: Action| {
            let rows = plan.repositories.iter().map(DryRunRow::from);
            rows.filter(|row| row.action == wanted).count()
        };
        Self {
            git_url,
            scan_type,
            total: plan.repositories.len(),
            to_scan: count(Action::Scan),
            skipped: count(Action::Skip),
            refused: count(Action::Refuse),
            skipped_by_reason: plan.skipped_by_reason(),
            discovery_errors: &errors.first,
            discovery_errors_total: errors.total,
            repositories: Vec::new(),
        }
    }

    /// The whole document.
    pub fn of(
        git_url: &'a str,
        scan_type: ScanType,
        plan: &'a Plan,
        errors: &'a ListingErrors,
    ) -> Self {
        let repositories = plan.repositories.iter().map(DryRunRow::from).collect();
        Self { repositories, ..Self::counts(git_url, scan_type, plan, errors) }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl<'a> From<&'a PlannedRepository> for DryRunRow<'a> {
    fn from(row: &'a PlannedRepository) -> Self {
        let (action, reason) = match (row.skipped.as_deref(), row.refused.as_deref()) {
            (Some(reason), _) => (Action::Skip, Some(reason)),
            (None, Some(reason)) => (Action::Refuse, Some(reason)),
            (None, None) => (Action::Scan, None),
        };
        let (repo_name, git_url) = (&row.repo_name, &row.git_url);
        Self { repo_name, git_url, action, reason, kind: row.skip_kind() }
    }
}
