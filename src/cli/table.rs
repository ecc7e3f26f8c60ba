//! Renders packages as a text table.

use super::{output::printable, screen};
use crate::model::scan_result::{Package, ScanResult};
use std::{
    fmt::Write,
    io::{IsTerminal, stdout},
};
use unicode_width::UnicodeWidthStr;

const HEADINGS: [&str; 6] = ["PACKAGE", "VERSION", "ECOSYSTEM", "SCOPE", "DIRECT", "DECLARED IN"];

/// The columns that are cut to fit a terminal, and the width that each keeps at least. A version range
/// can be longer than a line.
const CUT: [(usize, usize); 3] = [(1, 12), (5, 16), (0, 16)];

/// How a table looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// The width of the terminal; without one, nothing is cut.
    width: Option<usize>,
    colours: bool,
}

impl Look {
    /// The look of a table on standard output if that is a terminal, or elsewhere.
    pub(super) fn of(to_terminal: bool) -> Self {
        Self {
            width: to_terminal.then(|| screen::size_of(stdout()).0),
            colours: screen::has_colours(to_terminal),
        }
    }

    /// The look of a table on standard output.
    pub(super) fn of_stdout() -> Self {
        Self::of(stdout().is_terminal())
    }
}

/// Renders one repository's packages; empty if there are none.
pub(super) fn packages(packages: &[Package], look: Look) -> String {
    let mut rows: Vec<[String; 6]> = packages.iter().map(row).collect();
    let mut widths = HEADINGS.map(UnicodeWidthStr::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if let Some(width) = look.width {
        fit(&mut rows, &mut widths, width);
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

/// Renders rows as aligned columns, below headings if there are any.
pub(super) fn columns<const N: usize>(
    headings: Option<[&str; N]>,
    mut rows: Vec<[String; N]>,
) -> String {
    rows.splice(0..0, headings.map(|headings| headings.map(str::to_owned)));
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    for row in &rows {
        line(&mut text, row, &widths);
    }
    text
}

/// Renders one repository's name and its packages.
pub(super) fn render(result: &ScanResult, look: Look) -> String {
    let commit = result.commit.as_deref();
    let commit = commit.map(|id| format!(" at {}", id.get(..12).unwrap_or(id)));
    let name = format!("{}{}", printable(&result.repo_name), commit.unwrap_or_default());
    let empty = if result.packages.is_empty() { ": no packages" } else { "" };
    let (bold, plain) = if look.colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("{bold}{name}{plain}{empty}\n{}", packages(&result.packages, look))
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
        printable(&version),
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

/// Cuts the widest columns until the table fits into `width`, as far as possible.
fn fit(rows: &mut [[String; 6]], widths: &mut [usize; 6], width: usize) {
    let gaps = 2 * (HEADINGS.len() - 1);
    for (column, least) in CUT {
        let excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
        let kept = widths[column].saturating_sub(excess).max(least.min(widths[column]));
        if kept == widths[column] {
            continue;
        }
        widths[column] = kept;
        for row in rows.iter_mut() {
            // The end of a path, with the line number, says more than its beginning.
            row[column] = if column == 5 {
                screen::cut_start(&row[column], kept)
            } else {
                screen::cut_end(&row[column], kept)
            };
        }
    }
}

fn line<const N: usize>(text: &mut String, cells: &[String; N], widths: &[usize; N]) {
    let mut row = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        // Writing to a `String` cannot fail.
        let _ = write!(row, "{cell}{blanks}  ");
    }
    let _ = writeln!(text, "{}", row.trim_end());
}
