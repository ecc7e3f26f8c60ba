//! The frame for a state.
//!
//! Input: the state, the time. Output: cells. Invariants: drawing changes no state (the parts in
//! sight of lists excepted), and costs the rows in sight, however many there are; every size of the
//! terminal is drawn without an error.

mod canvas;
mod job;
mod jobs;
mod overlay;
mod repository;
mod text;

pub(super) use canvas::Theme;

use super::{
    app::App,
    facts,
    messages::Verb,
    screens::{Mode, Scope},
};
use crate::model::time::Timestamp;
use canvas::{Canvas, bold, faint, reversed};
use ratatui_core::{buffer::Buffer, style::Style};

/// Draws everything.
pub(super) fn draw(app: &App, theme: Theme, now: Timestamp, buffer: &mut Buffer) {
    let mut canvas = Canvas::new(buffer, theme);
    draw_head(&mut canvas, app, now);
    let body = 2..canvas.height().saturating_sub(1).max(2);
    let server_time = app.server_time(now);
    match &app.job {
        None => jobs::draw(&mut canvas, &app.jobs, body.clone(), server_time),
        Some(screen) => match &screen.repository {
            None => job::draw(&mut canvas, screen, body.clone(), server_time),
            Some(open) => {
                repository::draw(&mut canvas, &screen.details, open, body.clone(), server_time);
            }
        },
    }
    if app.outage().is_some() {
        let width = canvas.width();
        canvas.restyle(0, body.start, width, body.len(), faint());
    }
    draw_foot(&mut canvas, app);
    overlay::draw(&mut canvas, app);
}

/// The server, the user, the load, and whether all is well.
fn draw_head(canvas: &mut Canvas<'_>, app: &App, now: Timestamp) {
    let width = canvas.width();
    let x = canvas.put_all(0, 0, &[("scanwatch ", bold()), (&app.server, Style::new())]);
    let mut right = String::new();
    if app.health.is_known {
        right = format!("{} scanning, {} queued", app.health.running, app.health.queued);
    }
    if let Some(user) = &app.user {
        let scope = match app.scope {
            Scope::Read => " (read)",
            Scope::Write => " (write)",
            Scope::Admin => "",
        };
        let name = text::visible(user);
        right = if right.is_empty() { name + scope } else { format!("{name}{scope} · {right}") };
    }
    canvas.put_right(width, 0, width.saturating_sub(x + 2), &right, Style::new());

    let theme = canvas.theme;
    let problems = &app.health.problems;
    let (text, style) = match (app.outage(), problems.as_slice()) {
        (Some(outage), _) => {
            let age = facts::long(facts::seconds_between(outage.since, now));
            let text = format!("! connection lost, retrying; data is {age} old: {}", outage.cause);
            (text, theme.error())
        }
        (None, [first]) => (format!("! degraded: {first}"), theme.warning()),
        (None, [first, rest @ ..]) => {
            (format!("! degraded ({} problems): {first}", rest.len() + 1), theme.warning())
        }
        (None, []) if app.health.is_known => ("healthy".to_owned(), faint()),
        (None, []) => (String::new(), faint()),
    };
    canvas.put(0, 1, width, &text, style);
}

/// The keys, a notice, or the filter that is being typed.
fn draw_foot(canvas: &mut Canvas<'_>, app: &App) {
    let (width, y) = (canvas.width(), canvas.height().saturating_sub(1));
    if y < 2 {
        return;
    }
    if let Mode::Filter { text, .. } = &app.mode {
        let x = canvas.put(0, y, width, "Filter: ", bold());
        // The end of a long filter is in sight.
        let room = width.saturating_sub(x + 1);
        let shown = text::fitted_end(text, room);
        let x = canvas.put(x, y, room, &shown, Style::new());
        canvas.put(x, y, 1, " ", reversed());
        let (found, qualifiers) = match &app.job {
            None => (app.jobs.found(), "status: forge: name:"),
            Some(screen) => (screen.details.order().len() as u64, "status: cause:"),
        };
        let hint = format!("  {found} found · {qualifiers} or words · Enter keeps, Esc cancels");
        canvas.put(x + 1, y, width.saturating_sub(x + 1), &hint, faint());
        return;
    }
    if let Some(notice) = &app.notice {
        canvas.put(0, y, width, notice, bold());
        return;
    }
    let mut hints: Vec<(&str, String)> = Vec::new();
    let in_repository = app.job.as_ref().is_some_and(|screen| screen.repository.is_some());
    if in_repository {
        hints.push(("Esc", "back".to_owned()));
        hints.push(("PgUp/PgDn", "scroll".to_owned()));
        hints.push(("End", "follow".to_owned()));
    } else {
        hints.push(("Enter", "open".to_owned()));
        if app.job.is_some() {
            hints.push(("Esc", "back".to_owned()));
        }
        hints.push(("/", "filter".to_owned()));
        hints.push(("s", "sort".to_owned()));
    }
    for (key, verb) in [("r", Verb::Retry), ("c", Verb::Cancel), ("d", Verb::Delete)] {
        if app.may(verb) {
            hints.push((key, verb.name().to_lowercase()));
        }
    }
    hints.push(("F10", "quit".to_owned()));
    // This one is always in sight, and of the others whole ones.
    let help = "? help";
    let mut x = draw_part(canvas, app, y);
    for (key, what) in &hints {
        if x + key.len() + what.len() + help.len() + 3 > width {
            break;
        }
        x = canvas.put_all(
            x,
            y,
            &[(key, bold()), (" ", faint()), (what, faint()), ("  ", faint())],
        );
    }
    canvas.put_all(x, y, &[("?", bold()), (" help", faint())]);
}

/// Which part of a list is shown, if not all of it. Returns the column after it.
fn draw_part(canvas: &mut Canvas<'_>, app: &App, y: usize) -> usize {
    let (filter, found) = match &app.job {
        None => (&app.jobs.filter, app.jobs.found()),
        Some(screen) if screen.repository.is_some() => return 0,
        Some(screen) => (&screen.details.filter, screen.details.order().len() as u64),
    };
    let mut parts = Vec::new();
    if !filter.is_empty() {
        parts.push(format!("filter: {filter} ({found} found)"));
    }
    let (page, pages) = app.jobs.page();
    if pages > 1 && app.job.is_none() {
        parts.push(format!("page {page} of {pages}"));
    }
    if parts.is_empty() {
        return 0;
    }
    let width = canvas.width().saturating_sub(8);
    canvas.put(0, y, width, &format!("{}  ", parts.join(" · ")), bold())
}

#[cfg(test)]
mod tests;
