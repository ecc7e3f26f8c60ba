//! One repository: its state, and its log.
//!
//! Input: a repository, the lines of its log. Output: facts, and the lines in sight.

use super::{
    super::{
        facts,
        job::{self, JobDetails},
        screens::{Following, RepositoryScreen},
    },
    canvas::{Canvas, bar, bold, faint},
    job::draw_cause,
    text::visible,
};
use crate::model::{
    repository::{Figures, RepositoryStatus},
    time::Timestamp,
};
use ratatui_core::style::Style;
use std::ops::Range;

/// The lines for the cause of a failure.
const CAUSE_LINES: usize = 4;

pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    details: &JobDetails,
    open: &RepositoryScreen,
    rows: Range<usize>,
    now: Timestamp,
) {
    let mut y = rows.start;
    if let Some(row) = details.numbered(open.index) {
        y = draw_facts(canvas, row, open, y, now);
    } else {
        canvas.put(0, y, canvas.width(), "waiting for the server", faint());
        y += 1;
    }
    if y < rows.end {
        draw_log(canvas, open, y..rows.end);
    }
}

fn draw_facts(
    canvas: &mut Canvas<'_>,
    row: &RepositoryStatus,
    open: &RepositoryScreen,
    mut y: usize,
    now: Timestamp,
) -> usize {
    let width = canvas.width();
    let (sign, kind) = facts::of_repository(row.state);
    let style = canvas.theme.of_kind(kind);
    canvas.put(0, y, width, &row.display_name(), bold());
    y += 1;
    let mut parts = vec![(format!("{sign} {}", row.word()), style)];
    if let Some(attempt) = row.attempt.filter(|attempt| *attempt > 1) {
        parts.push((format!(" · attempt {attempt}"), Style::new()));
    }
    if let Some(seconds) = job::seconds(row, now) {
        parts.push((format!(" · {}", facts::long(seconds)), Style::new()));
    }
    if let Some(url) = &open.git_url {
        parts.push((format!(" · {url}"), faint()));
    }
    let parts: Vec<_> = parts.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    canvas.put_all(0, y, &parts);
    y += 1;
    if row.state.is_failure() {
        return draw_cause(canvas, row, y, CAUSE_LINES);
    }
    let Some(progress) = row.progress.as_ref().filter(|_| !row.state.is_final()) else { return y };
    let percentage = row.fraction() * 100.0;
    let length = if width < 60 { 10 } else { 24 };
    let x = canvas.put(0, y, length, &bar(percentage, length), style);
    let stage =
        progress.stage.as_ref().map(|stage| match (progress.stage_index, progress.stage_total) {
            (Some(index), Some(total)) => format!(" · stage {index} of {total}: {stage}"),
            _ => format!(" · {stage}"),
        });
    let figures = match &progress.figures {
        Figures::Files { total, current, .. } => format!(" · {current}/{total} files"),
        Figures::Download { megabytes, .. } => format!(" · {megabytes:.1} MB"),
        Figures::Extraction { extracted, total, .. } => format!(" · {extracted}/{total} files"),
        Figures::None {} => String::new(),
    };
    let text = format!(" {percentage:.0}%{}{figures}", stage.unwrap_or_default());
    canvas.put(x, y, width.saturating_sub(x), &text, Style::new());
    y += 1;
    let file = match &progress.figures {
        Figures::Files { file_name, .. } => file_name.as_deref(),
        _ => None,
    };
    if let Some(message) = progress.message.as_deref().or(file) {
        canvas.put(0, y, width, message, Style::new());
        y += 1;
    }
    y
}

fn draw_log(canvas: &mut Canvas<'_>, open: &RepositoryScreen, rows: Range<usize>) {
    let (width, log) = (canvas.width(), &open.log);
    let shown = log.shown(rows.len() - 1);
    let line = |index: usize| index as u64 + log.removed();
    let lines = match log.len() {
        0 => String::new(),
        _ => format!("· lines {}–{} ", line(shown.start) + 1, line(shown.end)),
    };
    let state = match (&open.following, log.is_following()) {
        (Following::Live, true) => "· following ",
        (Following::Live, false) => "· End follows again ",
        (Following::Complete, _) => "· complete ",
        (Following::Failed(_), _) => "· interrupted ",
    };
    let end = canvas.put(0, rows.start, width, &format!("── log {lines}{state}"), faint());
    canvas.put(end, rows.start, width, &"─".repeat(width.saturating_sub(end)), faint());
    for (y, index) in (rows.start + 1..).zip(shown) {
        let line = visible(log.line(index));
        let skipped: String = line.chars().skip(open.left).collect();
        canvas.put(0, y, width, &skipped, Style::new());
    }
    let remark = match &open.following {
        _ if log.len() > 0 || rows.len() < 2 => return,
        Following::Failed(reason) => reason.as_str(),
        Following::Complete => "the log is empty",
        Following::Live => "",
    };
    canvas.put(0, rows.start + 1, width, remark, faint());
}
