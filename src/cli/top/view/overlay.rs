//! What lies above a view: the help, and the confirmation of a command.
//!
//! Input: the mode. Output: a box in the middle.

use super::{
    super::{app::App, messages::Verb, screens::Mode},
    canvas::{Canvas, bold, reversed},
    text::{visible, wrapped},
};
use ratatui_core::style::Style;
use unicode_width::UnicodeWidthStr;

/// The keys that every user has.
const KEYS: [(&str, &str); 14] = [
    ("↑ ↓ k j", "move"),
    ("PgUp PgDn", "a page up or down"),
    ("g G, Home End", "the first, the last; in a log: the end, followed"),
    ("Enter", "open the job, the repository and its log"),
    ("Esc, Backspace, q", "back; out of a filter first"),
    ("/", "filter jobs: status:failed forge:gitlab name:api, or words;"),
    ("", "repositories: status:failed cause:clone, or words"),
    ("Tab ← →", "jobs in another state"),
    ("[ ]", "newer, older jobs"),
    ("s", "sort differently"),
    ("← →", "in a log: to the side"),
    ("Ctrl-L", "draw again"),
    ("? F1", "this help"),
    ("F10, Ctrl-C", "quit"),
];

pub(super) fn draw(canvas: &mut Canvas<'_>, app: &App) {
    match &app.mode {
        Mode::View | Mode::Filter { .. } => {}
        Mode::Help => {
            let verbs = [
                ("r", "retry the failed repositories", Verb::Retry),
                ("c", "cancel the job", Verb::Cancel),
                ("d", "delete the job and its files", Verb::Delete),
                ("p", "pause the job", Verb::Pause),
                ("u", "resume the job", Verb::Resume),
                ("b", "put the job before others of its user", Verb::Bump),
            ];
            let verbs = verbs.iter().filter(|(_, _, verb)| app.may(*verb));
            let verbs = verbs.map(|(key, what, _)| (*key, *what));
            let is_narrow = canvas.width() < 60;
            let lines = KEYS.into_iter().chain(verbs).map(|(key, what)| {
                if is_narrow { format!("{key}  {what}") } else { format!("{key:<18}  {what}") }
            });
            draw_box(canvas, "Keys", &lines.collect::<Vec<_>>(), "any key closes this");
        }
        Mode::Confirm(asked) => {
            let width = canvas.width().saturating_sub(6).min(74);
            let lines: Vec<String> =
                asked.lines.iter().flat_map(|line| wrapped(line, width, 3)).collect();
            let title = match asked.verb {
                Verb::Retry => "Retry the failed repositories of this job?",
                Verb::Cancel => "Cancel this job?",
                Verb::Delete => "Delete this job for good?",
                Verb::Pause => "Pause this job?",
                Verb::Resume => "Resume this job?",
                Verb::Bump => "Put this job before the others of its user?",
            };
            draw_box(canvas, title, &lines, "y: yes   any other key: no");
        }
    }
}

fn draw_box(canvas: &mut Canvas<'_>, title: &str, lines: &[String], foot: &str) {
    if canvas.width() < 4 || canvas.height() < 4 {
        return;
    }
    let longest = lines.iter().map(|line| visible(line).width());
    let inner = longest.chain([title.width(), foot.width()]).max().unwrap_or(0);
    let width = (inner + 4).min(canvas.width());
    let inner = width.saturating_sub(4);
    // What does not fit is cut in the middle: the last line says what the keys do.
    let height = (lines.len() + 4).min(canvas.height());
    let x = (canvas.width() - width) / 2;
    let y = (canvas.height() - height) / 2;
    canvas.clear(x, y, width, height);
    let border =
        |left: &str, right: &str| format!("{left}{}{right}", "─".repeat(width.saturating_sub(2)));
    canvas.put(x, y, width, &border("┌", "┐"), Style::new());
    canvas.put(x + 2, y, inner, &format!(" {title} "), bold());
    for (row, line) in (y + 1..y + height - 2).zip(lines) {
        canvas.put(x + 2, row, inner, line, Style::new());
    }
    for row in y + 1..y + height - 1 {
        canvas.put(x, row, 1, "│", Style::new());
        canvas.put(x + width - 1, row, 1, "│", Style::new());
    }
    canvas.put(x + 2, y + height - 2, inner, foot, reversed());
    canvas.put(x, y + height - 1, width, &border("└", "┘"), Style::new());
}
