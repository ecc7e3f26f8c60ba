//! The status file of the built-in scanner.
//!
//! Input: the figures that the scan sets, and the facts that its reporter keeps. Output: the members
//! of [`StatusFile`]. Invariants: every foreign text passes the redactor.

use super::text;
use crate::model::{
    Failure, RepoState,
    redact::Redactor,
    repository::one_decimal,
    status_file::{ErrorEntry, StatusFile},
    time::Timestamp,
};
use std::borrow::Cow;

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
    pub(super) files_digest: Option<String>,
    pub(super) files_seen: Option<u64>,
    /// When the forge named the commit.
    pub(super) checked_at: Option<Timestamp>,
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
            files_digest: None,
            files_seen: None,
            checked_at: None,
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
pub(super) fn error_entry(
    redactor: &Redactor,
    message: &str,
    exception: &str,
    traceback: Option<&str>,
    timestamp: Timestamp,
) -> ErrorEntry {
    ErrorEntry {
        message: clean(redactor, message),
        timestamp: Some(timestamp),
        exception: Some(exception.to_owned()),
        traceback: traceback
            .map(|trace| text::cut(&text::many_lines(&redactor.redact(trace)), LONGEST_TRACEBACK)),
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
    /// The result of an earlier scan is that of this one, too.
    pub(super) is_unchanged: bool,
}

/// The content of the status file.
pub(super) fn status_file<'a>(
    redactor: &Redactor,
    identity: &Identity,
    facts: &'a Facts,
    figures: &'a Figures,
    now: Timestamp,
) -> StatusFile<'a> {
    let clean = |text: &str| Some(clean(redactor, text).into());
    StatusFile {
        schema: Some(1),
        repo_index: Some(identity.repo_index),
        repo_name: clean(&identity.repo_name),
        git_url: clean(&identity.git_url),
        status: facts.state.as_str().into(),
        attempt: Some(identity.attempt),
        revision: Some(facts.revision),
        // After the scan the pid may be reused.
        pid: (!facts.state.is_final()).then(std::process::id),
        started_at: Some(identity.started_at),
        last_update: Some(now),
        completed_at: facts.completed_at,
        message: clean(&figures.message),
        stage: Some(figures.stage.word().into()),
        stage_index: Some(figures.stage as u64 + 1),
        stage_total: Some(Stage::ALL.len() as u64),
        stage_progress: figures.stage_progress,
        download_bytes: figures.download_bytes,
        commit: figures.commit.as_deref().map(Cow::Borrowed),
        files_digest: figures.files_digest.as_deref().map(Cow::Borrowed),
        unchanged: facts.is_unchanged.then_some(true),
        files_seen: figures.files_seen.filter(|_| facts.is_unchanged),
        checked_at: figures.checked_at,
        total_files: figures.total_files,
        current_file: figures.total_files.map(|_| figures.current_file),
        current_filename: figures.current_filename.as_deref().and_then(clean),
        percentage: figures.percentage(facts.state),
        dependencies_found: figures.dependencies_found,
        errors: Some(&facts.errors),
        error_message: facts.failure.as_ref().map(|failure| failure.detail.as_str().into()),
        failure: facts.failure.as_ref(),
        ..StatusFile::default()
    }
}

/// Prepares a text for the file: without secrets, on one line, within the length limit.
pub(super) fn clean(redactor: &Redactor, foreign: &str) -> String {
    text::cut(&text::one_line(&redactor.redact(foreign)), LONGEST_MESSAGE)
}
