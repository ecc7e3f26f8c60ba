//! Prints what a dry run found: a table on standard output, and the counts on standard error.
//!
//! Input: the document of a dry run. Output: text. Invariant: untrusted text is escaped.

use super::output::{self, printable};
use crate::model::plan::{SkipCounts, in_words};
use serde::Deserialize;
use std::{fmt::Write, io};
use unicode_width::UnicodeWidthStr;

const HEADINGS: [&str; 3] = ["ACTION", "REPOSITORY", "REASON"];

/// What a submission would do.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    git_url: String,
    to_scan: u64,
    refused: u64,
    skipped_by_reason: SkipCounts,
    #[serde(default)]
    discovery_errors: Vec<Unlisted>,
    #[serde(default)]
    discovery_errors_total: u64,
    repositories: Vec<Row>,
}

/// Something that could not be listed.
#[derive(Debug, Deserialize)]
struct Unlisted {
    error: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    repo_name: String,
    action: String,
    #[serde(default)]
    reason: String,
}

/// Prints the table and the counts.
pub(super) fn print(listed: &Listed) -> io::Result<()> {
    output::write(table(listed).as_bytes())?;
    output::print_message(&summary(listed));
    if !listed.is_whole() {
        output::print_error(&unlisted(listed));
    }
    Ok(())
}

impl Listed {
    /// Whether everything could be listed.
    pub(super) fn is_whole(&self) -> bool {
        self.discovery_errors_total == 0
    }
}

/// `https://h/g: 2 errors while listing, some repositories may be missing: …`.
fn unlisted(listed: &Listed) -> String {
    let first = listed.discovery_errors.first().map_or("", |unlisted| &unlisted.error);
    let total = listed.discovery_errors_total;
    let errors = if total == 1 { "1 error".to_owned() } else { format!("{total} errors") };
    let url = printable(&listed.git_url);
    format!("{url}: {errors} while listing, some repositories may be missing: {}", printable(first))
}

fn table(listed: &Listed) -> String {
    let rows = listed
        .repositories
        .iter()
        .map(|row| [printable(&row.action), printable(&row.repo_name), printable(&row.reason)]);
    let rows: Vec<_> = rows.collect();
    let mut widths = HEADINGS.map(UnicodeWidthStr::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    let headings = (!rows.is_empty()).then(|| HEADINGS.map(str::to_owned));
    for [action, name, reason] in headings.into_iter().chain(rows) {
        let pad = |cell: &str, width: usize| " ".repeat(width - cell.width());
        let line = format!(
            "{action}{}  {name}{}  {reason}",
            pad(&action, widths[0]),
            pad(&name, widths[1])
        );
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// "URL: 3 would be scanned, 1 refused, 12 skipped: 8 archived, 4 forks".
fn summary(listed: &Listed) -> String {
    let mut text = format!("{}: {} would be scanned", printable(&listed.git_url), listed.to_scan);
    if listed.refused > 0 {
        let _ = write!(text, ", {} refused", listed.refused);
    }
    if !listed.skipped_by_reason.is_empty() {
        let _ = write!(text, ", {}", in_words(&listed.skipped_by_reason));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Fails if a row or a count is missing, or if a name can control the terminal.
    #[test]
    fn a_dry_run_is_a_table_and_a_line() {
        let listed: Listed = serde_json::from_value(json!({
            "git_url": "https://h.example/g", "scan_type": "group", "total": 4,
            "to_scan": 1, "skipped": 2, "refused": 1,
            "skipped_by_reason": {"archived": 1, "no_access": 1},
            "repositories": [
                {"repo_name": "wide/名前", "git_url": "u", "action": "scan"},
                {"repo_name": "a\u{1b}", "git_url": "u", "action": "skip", "reason": "old",
                 "kind": "archived"},
            ],
        }))
        .unwrap();
        let expected = "ACTION  REPOSITORY  REASON\n\
                        scan    wide/名前\n\
                        skip    a\\u{1b}     old\n";
        assert_eq!(table(&listed), expected);
        let expected = "https://h.example/g: 1 would be scanned, 1 refused, \
                        2 skipped: 1 archived, 1 no access";
        assert_eq!(summary(&listed), expected);
        assert!(listed.is_whole());
    }

    /// Fails if a list that is not complete seems to be.
    #[test]
    fn what_could_not_be_listed_is_reported() {
        let listed: Listed = serde_json::from_value(json!({
            "git_url": "https://h.example/g", "scan_type": "group", "total": 0,
            "to_scan": 0, "skipped": 0, "refused": 0, "skipped_by_reason": {}, "repositories": [],
            "discovery_errors": [{"request": "r", "error": "r answers 500", "timestamp": "t"}],
            "discovery_errors_total": 2,
        }))
        .unwrap();
        assert!(!listed.is_whole());
        let expected = "https://h.example/g: 2 errors while listing, some repositories may be \
                        missing: r answers 500";
        assert_eq!(unlisted(&listed), expected);
    }
}
