//! The scanner's log: standard error, which its shim keeps in `logs/repo_N.log`.
//!
//! Invariants: one event is one line, and no secret and no control character of a
//! foreign text is in it.

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
    /// A log in which the redactor's secrets do not occur.
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor }
    }

    /// Something happened as it should.
    pub(super) fn info(&self, event: &str) {
        self.line("INFO", event);
    }

    /// Something is odd; the scan goes on.
    pub(super) fn warn(&self, event: &str) {
        self.line("WARN", event);
    }

    /// Why the scan ends.
    pub(super) fn error(&self, event: &str) {
        self.line("ERROR", event);
    }

    fn line(&self, level: &str, event: &str) {
        let event = text::cut(&text::one_line(&self.redactor.redact(event)), LONGEST_LINE);
        let now = time::format(chrono::Utc::now());
        // A log that nobody reads any more is no reason to end a scan. One write keeps the
        // line whole beside those of other threads.
        let _ = std::io::stderr().lock().write_all(format!("{now} {level} {event}\n").as_bytes());
    }
}
