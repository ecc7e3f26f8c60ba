//! What is known of a job without its lists.
//!
//! Input: facts of a job. Output: what rows and documents show of them. Invariants: pure.

use super::{
    JobId, JobState,
    state::{Summary, Totals},
    time::Timestamp,
};
use std::sync::Arc;

/// The state of a job without lists: a row of `/jobs`, the message of a `job` event.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFacts {
    pub id: JobId,
    /// Shared, like the error, because facts are copied with every change and for every reader.
    pub url: Option<Arc<str>>,
    pub state: JobState,
    pub summary: Summary,
    /// How many entries of a group are skipped.
    pub skipped: u64,
    /// The repositories are still being listed.
    pub discovering: bool,
    /// How many errors the listing had.
    pub discovery_errors: u64,
    pub started_at: Option<Timestamp>,
    /// The time of the job's folder, for jobs whose files name no start.
    pub folder_time: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub error: Option<Arc<str>>,
    /// The schedule whose run the job is.
    pub schedule: Option<Arc<str>>,
    /// The completed fraction, 0.0 to 1.0.
    pub fraction: f64,
    /// Nothing more of the job is started until it is resumed.
    pub paused: bool,
    /// The job's files were removed; its results are archived.
    pub archived: bool,
}

impl JobFacts {
    /// Whether the job's own row is the same in both; progress within repositories is not part of
    /// it.
    pub fn has_same_row_as(&self, other: &Self) -> bool {
        self.state == other.state
            && self.summary == other.summary
            && self.skipped == other.skipped
            && self.discovering == other.discovering
            && self.discovery_errors == other.discovery_errors
            && self.started_at == other.started_at
            // Also the sort key: it follows the folder's time where no file names a start.
            && self.created_at() == other.created_at()
            && self.completed_at == other.completed_at
            && self.paused == other.paused
            && self.url == other.url
    }

    /// Whether the job is final and none of its repositories is at work.
    pub fn is_over(&self) -> bool {
        self.state.is_final() && self.summary.in_progress == 0
    }

    /// When the job was created, as far as that is known.
    pub fn created_at(&self) -> Timestamp {
        self.started_at.unwrap_or(self.folder_time)
    }

    /// Whole percent done, 0 to 100, rounded down; 100 for a finished job.
    pub fn percentage(&self) -> u8 {
        if self.state.is_final() {
            return 100;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a conversion saturates, and the fraction is from 0 to 1"
        )]
        let percent = (self.fraction * 100.0) as u8;
        // More may be found.
        percent.min(if self.discovering { 99 } else { 100 })
    }

    /// Where every entry of the job's URL is.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.summary, self.skipped)
    }

    /// Estimated seconds left, by the pace so far; `None` if there is no estimate, and as long as
    /// repositories are being listed.
    pub fn eta_seconds(&self, elapsed_seconds: u64) -> Option<u64> {
        let is_open = self.paused || self.discovering;
        if self.state.is_final() || is_open || self.fraction < 0.01 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, of a positive number"
        )]
        Some((elapsed_seconds as f64 * (1.0 - self.fraction) / self.fraction) as u64)
    }
}
