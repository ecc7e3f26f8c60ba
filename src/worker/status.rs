//! The status file of the built-in scanner, member by member.
//!
//! Input: the figures that the scan sets, and the facts that its reporter keeps. Output: one JSON
//! object in the order of the contract. Invariants: every foreign text passes the redactor.

use super::text;
use crate::model::{
    Failure, RepoState,
    redact::Redactor,
    repository::one_decimal,
    time::{self, Timestamp},
};
use serde::Serialize;

/// The longest message, in bytes: a status file is read very often.
const LONGEST_MESSAGE: usize = 2 << 10;
/// The longest traceback, in bytes.
const LONGEST_TRACEBACK: usize = 16 << 10;

/// The stages of a scan, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Prepare,
    Fetch,
    List,
    Parse,
    Conclude,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Prepare, Self::Fetch, Self::List, Self::Parse, Self::Conclude];

    fn word(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Fetch => "fetch",
            Self::List => "list files",
            Self::Parse => "parse files",
            Self::Conclude => "conclude",
        }
    }
}

/// The figures that change during a scan. Texts are not redacted yet.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) stage: Stage,
    pub(super) message: String,
    /// 0 to 100, if the stage reports it.
    pub(super) stage_progress: Option<f64>,
    /// The number of files to read, once it is known.
    pub(super) total_files: Option<u64>,
    /// How many of them are done.
    pub(super) current_file: u64,
    pub(super) current_filename: Option<String>,
    pub(super) download_bytes: Option<u64>,
    pub(super) commit: Option<String>,
    pub(super) dependencies_found: Option<u64>,
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Prepare,
            message: "Starting".to_owned(),
            stage_progress: None,
            total_files: None,
            current_file: 0,
            current_filename: None,
            download_bytes: None,
            commit: None,
            dependencies_found: None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "shown to one decimal")]
    fn percentage(&self, state: RepoState) -> Option<f64> {
        let total = self.total_files?;
        Some(match state {
            RepoState::Completed => 100.0,
            _ if total == 0 => 0.0,
            _ => one_decimal(self.current_file as f64 * 100.0 / total as f64).clamp(0.0, 100.0),
        })
    }
}

/// An entry of `errors`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ErrorEntry {
    message: String,
    #[serde(with = "time")]
    timestamp: Timestamp,
    /// The error's type.
    exception: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<String>,
}

impl ErrorEntry {
    pub(super) fn new(
        redactor: &Redactor,
        message: &str,
        exception: &str,
        traceback: Option<&str>,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            message: clean(redactor, message),
            timestamp,
            exception: exception.to_owned(),
            traceback: traceback.map(|trace| {
                text::cut(&text::many_lines(&redactor.redact(trace)), LONGEST_TRACEBACK)
            }),
        }
    }
}

/// The facts that do not change within an attempt.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) repo_index: u32,
    pub(super) repo_name: String,
    pub(super) git_url: String,
    pub(super) attempt: u64,
    pub(super) started_at: Timestamp,
}

/// The facts that the reporter keeps beside the figures.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) state: RepoState,
    pub(super) revision: u64,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) errors: Vec<ErrorEntry>,
    pub(super) failure: Option<Failure>,
}

/// The members of the status file.
#[derive(Debug, Serialize)]
pub(super) struct StatusFile<'a> {
    schema: u32,
    repo_index: u32,
    repo_name: String,
    git_url: String,
    status: RepoState,
    attempt: u64,
    revision: u64,
    pid: Option<u32>,
    #[serde(with = "time")]
    started_at: Timestamp,
    #[serde(with = "time")]
    last_update: Timestamp,
    #[serde(with = "time::option")]
    completed_at: Option<Timestamp>,
    message: String,
    stage: &'static str,
    stage_index: u64,
    stage_total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage_progress: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    download_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_file: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependencies_found: Option<u64>,
    errors: &'a [ErrorEntry],
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

impl<'a> StatusFile<'a> {
    pub(super) fn new(
        redactor: &Redactor,
        identity: &Identity,
        facts: &'a Facts,
        figures: &'a Figures,
        now: Timestamp,
    ) -> Self {
        Self {
            schema: 1,
            repo_index: identity.repo_index,
            repo_name: clean(redactor, &identity.repo_name),
            git_url: clean(redactor, &identity.git_url),
            status: facts.state,
            attempt: identity.attempt,
            revision: facts.revision,
            // After the scan the pid may be reused.
            pid: (!facts.state.is_final()).then(std::process::id),
            started_at: identity.started_at,
            last_update: now,
            completed_at: facts.completed_at,
            message: clean(redactor, &figures.message),
            stage: figures.stage.word(),
            stage_index: figures.stage as u64 + 1,
            stage_total: Stage::ALL.len() as u64,
            stage_progress: figures.stage_progress,
            download_bytes: figures.download_bytes,
            commit: figures.commit.as_deref(),
            total_files: figures.total_files,
            current_file: figures.total_files.map(|_| figures.current_file),
            current_filename: figures.current_filename.as_deref().map(|name| clean(redactor, name)),
            percentage: figures.percentage(facts.state),
            dependencies_found: figures.dependencies_found,
            errors: &facts.errors,
            error_message: facts.failure.as_ref().map(|failure| failure.detail.as_str()),
            failure: facts.failure.as_ref(),
        }
    }
}

/// Prepares a text for the file: without secrets, on one line, within the length limit.
pub(super) fn clean(redactor: &Redactor, foreign: &str) -> String {
    text::cut(&text::one_line(&redactor.redact(foreign)), LONGEST_MESSAGE)
}
