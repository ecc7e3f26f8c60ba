//! One job: how far it is, and its repositories.
//!
//! Input: a job. Output: the bar of its states, a table, and the cause of the selected failure.

use super::{
    super::{
        facts::{self, Kind},
        job::{self, JobDetails, RowKey},
        screens::JobScreen,
    },
    canvas::{Canvas, bold, faint, reversed},
    text::wrapped,
};
use crate::{
    cli::progress,
    model::{repository::RepositoryStatus, state::Summary, time::Timestamp},
};
use ratatui_core::style::Style;
use std::ops::Range;

/// The parts of the bar: a sign of their own distinguishes them without colour.
const PARTS: [(&str, &str, Kind); 4] = [
    ("█", "completed", Kind::Done),
    ("▚", "failed", Kind::Failed),
    ("▒", "running", Kind::Running),
    ("░", "pending", Kind::Waiting),
];
/// The lines for the cause of the selected failure.
const CAUSE_LINES: usize = 3;
/// The fewest rows of the table beside a cause.
const LEAST_ROWS: usize = 4;

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    screen: &JobScreen,
    rows: Range<usize>,
    now: Timestamp,
) {
    let details = &screen.details;
    let mut y = rows.start;
    y = draw_facts(canvas, screen, y, now);
    y = draw_bar(canvas, details, y);
    let remark = details.error.as_deref().or(details.waiting_for.as_deref());
    if let Some(remark) = remark {
        let is_error = details.error.is_some();
        let text = if is_error { remark.to_owned() } else { format!("waits for {remark}") };
        let style = if is_error { canvas.theme.error() } else { Style::new() };
        canvas.put(0, y, canvas.width(), &text, style);
        y += 1;
    }
    let failed = details.selected().filter(|row| row.state.is_failure());
    let has_room = y + 1 + LEAST_ROWS + CAUSE_LINES <= rows.end;
    let cause = failed.filter(|_| has_room);
    let end = if cause.is_some() { rows.end - CAUSE_LINES } else { rows.end };
    draw_table(canvas, details, screen.is_known, y..end, now);
    if let Some(row) = cause {
        draw_cause(canvas, row, end, CAUSE_LINES);
    }
}

fn draw_facts(canvas: &mut Canvas<'_>, screen: &JobScreen, y: usize, now: Timestamp) -> usize {
    let (details, width) = (&screen.details, canvas.width());
    let title = if details.url.is_empty() { details.id.as_str() } else { &details.url };
    canvas.put(0, y, width, title, bold());
    let (sign, kind) = facts::of_job(&details.state);
    let state = details.state.replace('_', " ");
    let mut parts = vec![(format!("{sign} {state}"), canvas.theme.of_kind(kind))];
    if details.state.is_empty() {
        parts = vec![("waiting for the server".to_owned(), faint())];
    }
    if let Some(seconds) = details.elapsed_seconds(now) {
        parts.push((format!(" · {}", facts::long(seconds)), Style::new()));
    }
    if let Some(seconds) = details.eta_seconds.filter(|_| !details.is_finished()) {
        parts.push((format!(" · about {} left", facts::long(seconds)), Style::new()));
    }
    if details.paused {
        parts.push((" · paused".to_owned(), bold()));
    }
    parts.push((format!(" · {}", details.id), faint()));
    let parts: Vec<_> = parts.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    canvas.put_all(0, y + 1, &parts);
    y + 2
}

fn draw_bar(canvas: &mut Canvas<'_>, details: &JobDetails, y: usize) -> usize {
    let Summary { total_repositories: total, completed, failed, in_progress, pending, reused } =
        details.summary;
    let counts = [completed, failed, in_progress, pending];
    let (mut x, mut legend) = (0, 0);
    for ((sign, _, kind), length) in PARTS.iter().zip(lengths(counts, canvas.width())) {
        let style = canvas.theme.of_kind(*kind);
        x = canvas.put(x, y, length, &sign.repeat(length), style);
    }
    let is_narrow = canvas.width() < 60;
    for ((sign, name, kind), count) in PARTS.iter().zip(counts) {
        let style = canvas.theme.of_kind(*kind);
        // The first letters distinguish the words.
        let name = if is_narrow { &name[..4] } else { name };
        let text = format!("{sign} {count} {name}  ");
        legend = canvas.put(legend, y + 1, canvas.width().saturating_sub(legend), &text, style);
    }
    if !is_narrow {
        let text = match (details.discovered, reused) {
            (Some(found), _) => format!("of {total} · discovering, {found} found"),
            (None, 0) => format!("of {total}"),
            (None, reused) => format!("of {total}, {reused} reused"),
        };
        canvas.put(legend, y + 1, canvas.width().saturating_sub(legend), &text, faint());
    }
    y + 2
}

/// How many of `width` columns each part gets: in proportion, and one at least.
fn lengths(counts: [u64; 4], width: usize) -> [usize; 4] {
    let total: u128 = counts.iter().map(|count| u128::from(*count)).sum();
    let parts = counts.iter().filter(|count| **count > 0).count();
    let share = (width.saturating_sub(parts)) as u128;
    let length = |count: u64| {
        let columns = (u128::from(count) * share).checked_div(total).unwrap_or(0);
        usize::try_from(columns).unwrap_or(0) + usize::from(count > 0)
    };
    let mut lengths = counts.map(length);
    // What rounding leaves belongs to the longest part.
    let rest = width.saturating_sub(lengths.iter().sum());
    if total > 0
        && let Some(longest) = lengths.iter_mut().max()
    {
        *longest += rest;
    }
    lengths
}

fn draw_table(
    canvas: &mut Canvas<'_>,
    details: &JobDetails,
    is_known: bool,
    rows: Range<usize>,
    now: Timestamp,
) {
    if rows.start >= rows.end {
        return;
    }
    let width = canvas.width();
    let (state, time) = if width < 60 { (11, 0) } else { (13, 9) };
    let rest = width.saturating_sub(state + 2 + time);
    let name = if width < 60 { rest } else { rest * 2 / 5 };
    let (at_name, at_what) = (state + 2, state + 2 + name + 2);
    let what = if width < 60 { 0 } else { rest.saturating_sub(name + 4) };
    canvas.restyle(0, rows.start, width, 1, reversed());
    canvas.put(0, rows.start, state, "STATE", reversed());
    canvas.put(at_name, rows.start, name, "REPOSITORY", reversed());
    canvas.put(at_what, rows.start, what, "WHAT HAPPENS", reversed());
    let order = details.order();
    let right = format!("sort: {}", details.sort.name());
    if time > 0 {
        canvas.put_right(width, rows.start, time, "TIME", reversed());
        canvas.put_right(width - time, rows.start, what.saturating_sub(14), &right, reversed());
    }
    let first = rows.start + 1;
    let shown = details.cursor.shown(order.len(), rows.end.saturating_sub(first));
    for (y, index) in (first..).zip(shown) {
        let key = &order[index];
        match (details.get(key), key) {
            (Some(row), _) => {
                let (sign, kind) = facts::of_repository(row.state);
                let style = canvas.theme.of_kind(kind);
                canvas.put(0, y, state, &format!("{sign} {}", row.word()), style);
                canvas.put(at_name, y, name, &row.display_name(), Style::new());
                let style = if kind == Kind::Failed { style } else { Style::new() };
                canvas.put(at_what, y, what, &what_happens(row), style);
                if let Some(seconds) = job::seconds(row, now) {
                    canvas.put_right(width, y, time, &facts::short(seconds), Style::new());
                }
            }
            (None, RowKey::Planned(planned)) => {
                canvas.put(0, y, state, "○ pending", Style::new());
                canvas.put(at_name, y, name, planned, Style::new());
            }
            (None, RowKey::Numbered(_)) => {}
        }
        if index == details.cursor.position() {
            canvas.restyle(0, y, width, 1, reversed());
        }
    }
    if order.is_empty() && first < rows.end {
        let text = match (is_known, details.filter.is_empty()) {
            (false, _) => "",
            (true, true) => "no repository is known yet",
            (true, false) => "no repository fits; Esc shows all",
        };
        canvas.put(0, first, width, text, faint());
    }
}

/// What a repository is doing, or why it failed.
fn what_happens(row: &RepositoryStatus) -> String {
    if let Some(error) = &row.error {
        let kind = row.failure.as_ref().map(|failure| failure.kind.as_str());
        return kind.map_or_else(|| error.clone(), |kind| format!("{kind}: {error}"));
    }
    let progress = row.progress.as_ref();
    let message = progress.and_then(|progress| progress.message.as_deref());
    if row.state.is_working() {
        let percent = row.fraction() * 100.0;
        let stage = progress.and_then(|progress| progress.stage.as_deref());
        return format!("{percent:>3.0}% {}", message.or(stage).unwrap_or_default());
    }
    match message {
        Some(message) if !row.state.is_final() => message.to_owned(),
        // As the other commands say it, without the state.
        _ => {
            let text = progress::describe(row);
            text.strip_prefix(row.word()).unwrap_or(&text).trim_start_matches(", ").to_owned()
        }
    }
}

/// The cause of a failure, and the remedy. Returns the row after it.
pub(super) fn draw_cause(
    canvas: &mut Canvas<'_>,
    row: &RepositoryStatus,
    y: usize,
    lines: usize,
) -> usize {
    let kind = row.failure.as_ref().map(|failure| failure.kind);
    let remedy = kind.map_or("", |kind| kind.remedy());
    let cause = format!(
        "{}: {}",
        kind.map_or_else(|| row.word().to_owned(), |kind| kind.as_str().to_owned()),
        row.error.as_deref().unwrap_or("unknown"),
    );
    let width = canvas.width();
    let room = lines.saturating_sub(usize::from(!remedy.is_empty()));
    let texts = wrapped(&cause, width, room);
    let style = canvas.theme.error();
    for (y, text) in (y..).zip(&texts) {
        canvas.put(0, y, width, text, style);
    }
    canvas.put(0, y + texts.len(), width, remedy, Style::new());
    y + texts.len() + usize::from(!remedy.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_every_part() {
        for width in 4..200 {
            for counts in [[1, 0, 0, 9_999], [1, 1, 1, 9_997], [5, 5, 5, 5], [0, 0, 0, 1]] {
                let lengths = lengths(counts, width);
                assert_eq!(lengths.iter().sum::<usize>(), width, "{counts:?} {width}");
                for (length, count) in lengths.iter().zip(counts) {
                    assert_eq!(*length > 0, count > 0, "{counts:?} {width}");
                }
            }
        }
        assert_eq!(lengths([0; 4], 80), [0; 4]);
    }
}
