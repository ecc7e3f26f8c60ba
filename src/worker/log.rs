//! The scanner's log on standard error, which its shim copies to `logs/repo_N.log`.
//!
//! Input: events. Output: lines. Invariants: one event is one line, and contains no secret and no
//! control characters.

use super::text;
use crate::model::{redact::Redactor, time};
use std::io::Write;

/// The longest line, in bytes.
const LONGEST_LINE: usize = 8 << 10;

/// Writes lines to standard error.
#[derive(Debug, Clone)]
pub(super) struct Log {
    redactor: Redactor,
}

impl Log {
    /// A log that masks the redactor's secrets.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// Logs a regular event.
    pub(super) fn info(&self, event: &str) {
        self.line("INFO", event);
    }

    /// Logs a problem after which the scan continues.
    pub(super) fn warn(&self, event: &str) {
        self.line("WARN", event);
    }

    /// Logs why the scan failed.
    pub(super) fn error(&self, event: &str) {
        self.line("ERROR", event);
    }

    fn line(&self, level: &str, event: &str) {
        let event = text::cut(&text::one_line(&self.redactor.redact(event)), LONGEST_LINE);
        let now = time::format(chrono::Utc::now());
        // A failed write to the log must not end a scan. A single write keeps the line whole among
        // those of other threads.
        let _ = std::io::stderr().lock().write_all(format!("{now} {level} {event}\n").as_bytes());
    }
}
