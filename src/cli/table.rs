//! Packages as a table for people.

use super::output::printable;
use crate::model::scan_result::{Package, ScanResult};
use std::fmt::Write;

const HEADINGS: [&str; 6] = ["PACKAGE", "VERSION", "ECOSYSTEM", "SCOPE", "DIRECT", "DECLARED IN"];

/// The widest that a version or range is shown, in characters.
const WIDEST_VERSION: usize = 32;

/// One repository's packages; nothing where there are none.
pub(super) fn packages(packages: &[Package]) -> String {
    let rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    let mut widths = HEADINGS.map(|it| it.chars().count());
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

/// One repository's packages, and a line that counts them.
pub(super) fn render(result: &ScanResult) -> String {
    let mut text = packages(&result.packages);
    let files = &result.files;
    let commit = result.commit.as_deref().map(|it| format!(" at {}", it.get(..12).unwrap_or(it)));
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
        package.ecosystem.clone(),
        package.scope.map_or("-", |it| it.as_str()).to_owned(),
        match package.direct {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        }
        .to_owned(),
        printable(&place),
    ]
}

/// A range can be longer than a line of the terminal.
fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST_VERSION {
        return text.to_owned();
    }
    text.chars().take(WIDEST_VERSION - 1).chain(['…']).collect()
}

fn line(text: &mut String, cells: &[String; 6], widths: &[usize; 6]) {
    let mut row = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(row, "{cell:width$}  ");
    }
    let _ = writeln!(text, "{}", row.trim_end());
}
