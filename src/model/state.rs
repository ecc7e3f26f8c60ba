//! The states of a repository and of a job, and the rule that derives a job's state.
//!
//! Input: status words, counts. Output: states.

use std::fmt;

/// The state of one repository's scan, according to its status file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoState {
    /// Not started, or an unknown status word.
    Pending,
    /// A scanner is working on it.
    Working(Work),
    /// Finished successfully.
    Completed,
    /// Finished: failed.
    Failed,
    /// Finished: the scan exceeded its deadline.
    TimedOut,
    /// Finished: the scan was cancelled.
    Cancelled,
}

/// What a working scanner is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    Starting,
    Downloading,
    Extracting,
    Cloning,
    Scanning,
    Analyzing,
}

impl RepoState {
    /// Parses a status word, ignoring case, because clients of the Python service were lenient,
    /// too.
    pub fn parse(word: &str) -> Self {
        match word.trim().to_ascii_lowercase().as_str() {
            "starting" => Self::Working(Work::Starting),
            "downloading" => Self::Working(Work::Downloading),
            "extracting" => Self::Working(Work::Extracting),
            "cloning" => Self::Working(Work::Cloning),
            "scanning" => Self::Working(Work::Scanning),
            "analyzing" => Self::Working(Work::Analyzing),
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "timeout" => Self::TimedOut,
            "cancelled" => Self::Cancelled,
            _ => Self::Pending,
        }
    }

    /// The status word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Working(Work::Starting) => "starting",
            Self::Working(Work::Downloading) => "downloading",
            Self::Working(Work::Extracting) => "extracting",
            Self::Working(Work::Cloning) => "cloning",
            Self::Working(Work::Scanning) => "scanning",
            Self::Working(Work::Analyzing) => "analyzing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a scanner is working.
    pub fn is_working(self) -> bool {
        matches!(self, Self::Working(_))
    }

    /// Whether this is one of the states that count as failed.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Cancelled)
    }

    /// Whether the state is final within its attempt.
    pub fn is_final(self) -> bool {
        self == Self::Completed || self.is_failure()
    }
}

impl fmt::Display for RepoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Initializing,
    InProgress,
    /// All repositories are finished, and the job's final state is not written yet.
    Processing,
    Completed,
    CompletedWithErrors,
    AllFailed,
    Failed,
    #[serde(rename = "timeout")]
    TimedOut,
    Cancelled,
}

/// The words of [`JobState::coarse`].
pub const COARSE_STATES: [&str; 4] = ["pending", "running", "completed", "failed"];

/// The number of repositories in each state.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Summary {
    pub total_repositories: u64,
    pub completed: u64,
    pub in_progress: u64,
    pub pending: u64,
    pub failed: u64,
    /// How many of the completed ones have the result of an earlier scan.
    #[serde(default)]
    pub reused: u64,
}

/// Where every entry of a job's URL is: `found` is the sum of the others, at every moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Totals {
    pub found: u64,
    pub queued: u64,
    pub running: u64,
    /// Completed by a scan of this job.
    pub done: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Completed by the result of an earlier scan.
    pub reused: u64,
}

impl Totals {
    /// The totals of a job with these counts, and with this many skipped entries.
    pub fn of(summary: &Summary, skipped: u64) -> Self {
        let Summary { completed, in_progress: running, pending: queued, failed, reused, .. } =
            *summary;
        let done = completed.saturating_sub(reused);
        let found = queued + running + done + failed + skipped + reused;
        Self { found, queued, running, done, failed, skipped, reused }
    }
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Initializing,
        Self::InProgress,
        Self::Processing,
        Self::Completed,
        Self::CompletedWithErrors,
        Self::AllFailed,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// Parses the `status` of master.json; `Some` only for a final state, ignoring case.
    pub fn parse_final(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "completed" => Some(Self::Completed),
            "completed_with_errors" => Some(Self::CompletedWithErrors),
            "all_failed" => Some(Self::AllFailed),
            "failed" => Some(Self::Failed),
            "timeout" => Some(Self::TimedOut),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// The overall status, the first that applies: a final state in master.json, all repositories
    /// finished, some in progress or finished, nothing yet.
    pub fn derive(master: Option<Self>, summary: &Summary) -> Self {
        let over = summary.completed + summary.failed;
        match master {
            Some(state) if state.is_final() => state,
            _ if summary.total_repositories > 0 && over >= summary.total_repositories => {
                Self::Processing
            }
            _ if over + summary.in_progress > 0 => Self::InProgress,
            _ => Self::Initializing,
        }
    }

    /// The status word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::InProgress => "in_progress",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::CompletedWithErrors => "completed_with_errors",
            Self::AllFailed => "all_failed",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// The coarser status word of the `/jobs` routes: `pending running completed failed`.
    pub fn coarse(self) -> &'static str {
        match self {
            Self::Initializing => "pending",
            Self::InProgress | Self::Processing => "running",
            Self::Completed | Self::CompletedWithErrors => "completed",
            Self::AllFailed | Self::Failed | Self::TimedOut | Self::Cancelled => "failed",
        }
    }

    /// Whether the job is finished.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Initializing | Self::InProgress | Self::Processing)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for RepoState {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_answers_use_the_same_words() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert!(COARSE_STATES.contains(&state.coarse()));
        }
    }

    #[test]
    fn words_round_trip_and_unknown_words_are_pending() {
        for word in [
            "starting",
            "downloading",
            "extracting",
            "cloning",
            "scanning",
            "analyzing",
            "completed",
            "failed",
            "timeout",
            "cancelled",
        ] {
            assert_eq!(RepoState::parse(word).as_str(), word);
        }
        for word in ["initializing", "interrupted", "", "done"] {
            assert_eq!(RepoState::parse(word), RepoState::Pending);
        }
        assert_eq!(JobState::parse_final("Completed"), Some(JobState::Completed));
        assert_eq!(JobState::parse_final("in_progress"), None);
    }
}
