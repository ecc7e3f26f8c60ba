//! The plan of a job, `repositories.json`: its repositories and their indices.
//!
//! Invariants: a job folder with a plan is ours: only such jobs are queued, adopted and finalized.
//! A plan never contains credentials.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    pub schema: u32,
    /// Whether all repositories are listed: not while the listing goes on, and not if something
    /// could not be listed.
    pub complete: bool,
    pub repositories: Vec<PlannedRepository>,
}

/// Why a repository of a group is skipped, for programs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SkipKind {
    /// The forge has archived it.
    Archived,
    /// It has no commits.
    Empty,
    /// It is a fork of another repository.
    Fork,
    /// A pattern, or a filter by topic, visibility or activity.
    Filtered,
    /// The forge does not let it be read: it is disabled, or will be deleted, or the token may not.
    NoAccess,
    /// Another entry of the list has the same URL.
    Duplicate,
    /// It is larger than requested.
    TooLarge,
}

impl SkipKind {
    /// In words, after a number: "8 archived".
    pub fn words(self, count: u64) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Empty => "empty",
            Self::Fork if count == 1 => "fork",
            Self::Fork => "forks",
            Self::Filtered => "filtered",
            Self::NoAccess => "no access",
            Self::Duplicate if count == 1 => "duplicate",
            Self::Duplicate => "duplicates",
            Self::TooLarge => "too large",
        }
    }

    /// The kind of a reason in a plan without kinds, which an earlier version has written.
    fn of_reason(reason: &str) -> Self {
        match reason {
            "the repository is empty" => Self::Empty,
            _ if reason.starts_with("not included by") || reason.starts_with("excluded by") => {
                Self::Filtered
            }
            _ if reason.starts_with("the same repository as") => Self::Duplicate,
            _ => Self::NoAccess,
        }
    }
}

/// How many repositories are skipped, by kind of reason.
pub type SkipCounts = BTreeMap<SkipKind, u64>;

/// The counts in words: "12 skipped: 8 archived, 4 forks"; empty if there are none.
pub fn in_words(counts: &SkipCounts) -> String {
    let total: u64 = counts.values().sum();
    if total == 0 {
        return String::new();
    }
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown: Vec<_> =
        counts.iter().map(|(kind, count)| format!("{count} {}", kind.words(**count))).collect();
    format!("{total} skipped: {}", shown.join(", "))
}

/// One entry of the plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedRepository {
    /// The N of `repo_N.json`; `None` for a skipped repository.
    pub repo_index: Option<u32>,
    pub repo_name: String,
    /// The URL to fetch from; for a scan of a local path, that path. A text, because a plan also
    /// lists URLs that the policy refuses, and because the policy may change after the plan was
    /// written: the scanner checks the URL against the policy of its task.
    pub git_url: String,
    /// Why the repository is skipped, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The kind of this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_kind: Option<SkipKind>,
    /// Why the repository must not be contacted, if so: it counts, and fails without being started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Plan {
    /// A complete plan, numbered in the given order.
    pub fn of(repositories: impl IntoIterator<Item = (String, String)>) -> Self {
        let repositories = (0u32..)
            .zip(repositories)
            .map(|(index, (repo_name, git_url))| PlannedRepository {
                repo_index: Some(index),
                repo_name,
                git_url,
                ..PlannedRepository::default()
            })
            .collect();
        Self { schema: 1, complete: true, repositories }
    }

    /// An empty, incomplete plan: the forge has still to be queried.
    pub fn unknown() -> Self {
        Self { schema: 1, complete: false, repositories: Vec::new() }
    }

    /// How many repositories are skipped, by kind of reason.
    pub fn skipped_by_reason(&self) -> SkipCounts {
        let mut counts = SkipCounts::new();
        for kind in self.repositories.iter().filter_map(PlannedRepository::skip_kind) {
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// The repositories that are not skipped, with their indices.
    pub fn counted(&self) -> impl Iterator<Item = (u32, &PlannedRepository)> {
        self.repositories.iter().filter_map(|row| Some((row.repo_index?, row)))
    }
}

impl PlannedRepository {
    /// Why the repository is skipped, if it is.
    pub fn skip_kind(&self) -> Option<SkipKind> {
        let reason = self.skipped.as_deref()?;
        Some(self.skipped_kind.unwrap_or_else(|| SkipKind::of_reason(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(reason: &str, kind: Option<SkipKind>) -> PlannedRepository {
        PlannedRepository {
            skipped: Some(reason.to_owned()),
            skipped_kind: kind,
            ..PlannedRepository::default()
        }
    }

    /// Fails if a skipped repository of an older plan is not counted, or a scanned one is.
    #[test]
    fn skipped_repositories_are_counted_by_reason() {
        let mut plan = Plan::of([("r".to_owned(), "https://h.example/g/r.git".to_owned())]);
        assert_eq!(in_words(&plan.skipped_by_reason()), "");
        plan.repositories.extend([
            skipped("the repository is a fork", Some(SkipKind::Fork)),
            skipped("the repository is archived", Some(SkipKind::Archived)),
            skipped("the repository is archived", Some(SkipKind::Archived)),
            skipped("the repository is empty", None),
            skipped("excluded by `x`", None),
            skipped("not included by `x`", None),
            skipped("the same repository as `x`", None),
            skipped("the forge has disabled the repository", None),
        ]);
        let words = in_words(&plan.skipped_by_reason());
        let expected =
            "8 skipped: 2 archived, 2 filtered, 1 empty, 1 fork, 1 no access, 1 duplicate";
        assert_eq!(words, expected);
        let text = serde_json::to_string(&plan.skipped_by_reason()).unwrap();
        assert!(text.contains(r#""no_access":1"#) && text.contains(r#""archived":2"#), "{text}");
    }
}
