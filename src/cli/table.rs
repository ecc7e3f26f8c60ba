//! Renders packages as a text table.

use super::output::printable;
use crate::model::scan_result::{Package, ScanResult};
use std::fmt::Write;

const HEADINGS: [&str; 6] = ["PACKAGE", "VERSION", "ECOSYSTEM", "SCOPE", "DIRECT", "DECLARED IN"];

/// The maximum width of a version or range, in characters.
const MAX_VERSION_WIDTH: usize = 32;

/// Renders one repository's packages; empty if there are none.
pub(super) fn packages(packages: &[Package]) -> String {
    let rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    let mut widths = HEADINGS.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    if !rows.is_empty() {
        line(&mut text, &HEADINGS.map(str::to_owned), &widths);
        for row in &rows {
            line(&mut text, row, &widths);
        }
    }
    text
}

/// Renders one repository's packages, followed by a line with their number.
pub(super) fn render(result: &ScanResult) -> String {
    let mut text = packages(&result.packages);
    let files = &result.files;
    let commit = result.commit.as_deref();
    let commit = commit.map(|id| format!(" at {}", id.get(..12).unwrap_or(id)));
    let _ = writeln!(
        text,
        "{}{}: {} packages in {} of {} files{}",
        printable(&result.repo_name),
        commit.unwrap_or_default(),
        result.packages.len(),
        files.parsed,
        files.seen,
        match result.warnings.len() {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            count => format!(", {count} warnings"),
        }
    );
    text
}

fn row(package: &Package) -> [String; 6] {
    let version = match (&package.version, &package.specifier) {
        (Some(version), _) => version.clone(),
        (None, Some(specifier)) => specifier.clone(),
        (None, None) => "-".to_owned(),
    };
    let place = match package.line {
        Some(line) => format!("{}:{line}", package.file),
        None => package.file.clone(),
    };
    [
        printable(&package.name),
        shortened(&printable(&version)),
        package.ecosystem.as_str().to_owned(),
        package.scope.map_or("-", |scope| scope.as_str()).to_owned(),
        match package.direct {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        }
        .to_owned(),
        printable(&place),
    ]
}

/// Cuts a version to its maximum width, because a range can be longer than a terminal line.
fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_VERSION_WIDTH {
        return text.to_owned();
    }
    text.chars().take(MAX_VERSION_WIDTH - 1).chain(['…']).collect()
}

fn line(text: &mut String, cells: &[String; 6], widths: &[usize; 6]) {
    let mut row = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(row, "{cell:width$}  ");
    }
    let _ = writeln!(text, "{}", row.trim_end());
}
