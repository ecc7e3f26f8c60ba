//! The list of jobs.
//!
//! Input: the list. Output: tabs and a table.

use super::{
    super::{
        facts,
        jobs::{Job, Jobs, TABS},
    },
    canvas::{Canvas, bar, bold, faint, reversed},
    text::fitted_end,
};
use crate::model::{JobId, time::Timestamp};
use ratatui_core::style::Style;
use std::ops::Range;

/// The fewest columns in which an error is readable.
const LEAST_ERROR: usize = 16;

/// The columns of a table, by the width of the terminal: their first column and width.
#[derive(Debug)]
struct Columns {
    state: (usize, usize),
    url: (usize, usize),
    progress: (usize, usize),
    counts: (usize, usize),
    age: (usize, usize),
}

impl Columns {
    fn of(width: usize) -> Self {
        let (state, progress, counts, age) = match width {
            0..60 => (11, 4, 0, 0),
            60..100 => (11, 15, 13, 7),
            _ => (11, 25, 17, 16),
        };
        let gap = |column: usize| if column == 0 { 0 } else { column + 2 };
        let url = width.saturating_sub(state + 2 + gap(progress) + gap(counts) + gap(age));
        let mut x = 0;
        let mut next = |width: usize| {
            let column = (x, width);
            x += gap(width);
            column
        };
        Self {
            state: next(state),
            url: next(url.max(1)),
            progress: next(progress),
            counts: next(counts),
            age: next(age),
        }
    }
}

pub(super) fn draw(canvas: &mut Canvas<'_>, jobs: &Jobs, rows: Range<usize>, now: Timestamp) {
    let width = canvas.width();
    draw_tabs(canvas, jobs, rows.start);
    let head = rows.start + 1;
    if head >= rows.end {
        return;
    }
    let columns = Columns::of(width);
    canvas.restyle(0, head, width, 1, reversed());
    for ((x, width), name) in [
        (columns.state, "STATE"),
        (columns.url, "URL"),
        (columns.counts, "DONE/FAIL/ALL"),
        (columns.age, "AGE"),
    ] {
        canvas.put(x, head, width, name, reversed());
    }
    let (x, length) = columns.progress;
    canvas.put_right(
        x + length,
        head,
        length,
        if length < 8 { "%" } else { "PROGRESS" },
        reversed(),
    );
    let first = head + 1;
    let order = jobs.order();
    let shown = jobs.cursor.shown(order.len(), rows.end.saturating_sub(first));
    for (y, index) in (first..).zip(shown) {
        let Some(job) = jobs.get(&order[index]) else { continue };
        draw_job(canvas, &columns, y, &order[index], job, now);
        if index == jobs.cursor.position() {
            canvas.restyle(0, y, width, 1, reversed());
        }
    }
    if order.is_empty() && first < rows.end {
        let is_filtered = jobs.tab > 0 || !jobs.filter.is_empty();
        let text = match &jobs.refusal {
            Some(reason) => reason,
            None if !jobs.is_known => "waiting for the server",
            None if is_filtered => "no job fits; Esc shows all",
            None => "there are no jobs; submit one with: scanwatch submit URL",
        };
        canvas.put(0, first, width, text, faint());
    }
}

fn draw_tabs(canvas: &mut Canvas<'_>, jobs: &Jobs, y: usize) {
    let width = canvas.width();
    let mut x = 0;
    for (tab, state) in TABS.iter().enumerate() {
        let (sign, kind) = facts::of_job(state);
        let name = match width {
            0..60 if tab == 0 => "All".to_owned(),
            // The sign stands for the word.
            0..60 => sign.to_string(),
            _ if tab == 0 => "All".to_owned(),
            _ => format!("{sign} {state}"),
        };
        let mut style = if tab == 0 { Style::new() } else { canvas.theme.of_kind(kind) };
        if tab == jobs.tab {
            style = style.patch(reversed());
        }
        let text = format!(" {name} {} ", jobs.count(tab));
        x = canvas.put(x, y, width.saturating_sub(x), &text, style) + 1;
    }
    let sort = format!("sort: {}", jobs.sort.name());
    canvas.put_right(width, y, width.saturating_sub(x + 1), &sort, faint());
}

fn draw_job(
    canvas: &mut Canvas<'_>,
    columns: &Columns,
    y: usize,
    id: &JobId,
    job: &Job,
    now: Timestamp,
) {
    let (sign, kind) = facts::of_job(job.state);
    let style = canvas.theme.of_kind(kind);
    let (x, width) = columns.state;
    canvas.put(x, y, width, &format!("{sign} {}", job.state), style);
    let (x, width) = columns.url;
    let end = canvas.put(x, y, width, &short_name(id, job, width), Style::new());
    if let Some(error) = &job.error {
        let rest = (x + width).saturating_sub(end + 2);
        if rest >= LEAST_ERROR {
            canvas.put(end + 2, y, rest, error, canvas.theme.of_kind(kind));
        }
    }
    let (x, width) = columns.progress;
    let percent = format!("{}%", job.percentage);
    if width > 4 {
        canvas.put(x, y, width - 5, &bar(f64::from(job.percentage), width - 5), style);
    }
    canvas.put_right(x + width, y, 4, &percent, Style::new());
    let summary = job.summary;
    let (x, width) = columns.counts;
    let failed = summary.failed.to_string();
    let failed_style = if summary.failed > 0 { canvas.theme.error() } else { faint() };
    if width > 0 {
        canvas.put_all(
            x,
            y,
            &[
                (&summary.completed.to_string(), Style::new()),
                ("/", faint()),
                (&failed, failed_style),
                ("/", faint()),
                (&summary.total_repositories.to_string(), bold()),
            ],
        );
    }
    let (x, width) = columns.age;
    let Some(created) = job.created_at else { return };
    let mut age = facts::short(facts::seconds_between(created, now));
    if width > 10 {
        let end = job.completed_at.unwrap_or(now);
        let took = facts::short(facts::seconds_between(created, end));
        age = format!("{age}, took {took}");
    }
    canvas.put(x, y, width, &age, Style::new());
}

/// The URL of a job without what most URLs have in common. The end of a long one distinguishes it better than its
/// beginning.
fn short_name(id: &JobId, job: &Job, width: usize) -> String {
    if job.url.is_empty() {
        return id.to_string();
    }
    let url = job.url.strip_prefix("https://").unwrap_or(&job.url);
    fitted_end(url.strip_suffix(".git").unwrap_or(url), width)
}
