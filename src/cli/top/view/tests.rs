use super::*;
use crate::cli::top::{
    keyboard::press,
    keys::Key,
    messages::{ALL_JOBS, Effect, Input},
};
use chrono::Utc;
use ratatui_core::{buffer::Cell, layout::Rect};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Names that take a terminal apart that interprets them.
const HOSTILE: &str =
    "\u{1b}[2J\u{9b}31m\u{202e}evil\u{200b}群组e\u{301}\u{301}\u{301}\u{301}👩\u{200d}💻\n\t";

fn frame(app: &App, width: u16, height: u16) -> Vec<String> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(app, Theme::new(true), Utc::now(), &mut buffer);
    let rows = buffer.content().chunks(usize::from(width.max(1)));
    rows.map(|row| row.iter().map(Cell::symbol).collect()).collect()
}

fn event(app: &mut App, feed: u64, event: &str, data: Value) {
    app.apply(Input::Event { feed, event: event.to_owned(), data }, Utc::now());
    if let Some(screen) = &mut app.job {
        screen.details.arrange(Utc::now());
    }
}

fn list() -> App {
    let mut app =
        App::new(format!("http://{HOSTILE}"), &json!({"user": HOSTILE, "scope": "admin"}));
    let row = json!({"job_id": "a", "status": "running", "git_url": HOSTILE, "progress": 50,
        "created_at": "2026-01-01T00:00:00Z", "total_repositories": 40, "completed_repositories": 12,
        "failed_repositories": 3, "error_message": HOSTILE});
    event(
        &mut app,
        ALL_JOBS,
        "snapshot",
        json!({"jobs": [row], "total": 1, "counts": {"running": 1}}),
    );
    app.apply(Input::Health(json!({"problems": [HOSTILE, "two"]})), Utc::now());
    app
}

fn job() -> App {
    let mut app = list();
    press(&mut app, Key::Enter, Utc::now());
    let data = json!({"group_url": HOSTILE, "status": "in_progress", "elapsed_time_seconds": 70,
        "eta_seconds": 30, "waiting_for": HOSTILE, "discovering": true, "totals": {"found": 312},
        "summary": {"total_repositories": 4, "completed": 1, "in_progress": 1, "pending": 1, "failed": 1},
        "repositories": [
            {"repo_index": 0, "repo_name": HOSTILE, "status": "failed"},
            {"repo_index": 1, "repo_name": "b", "status": "scanning",
             "progress": {"message": HOSTILE, "total_files": 4, "current_file": 2, "percentage": 50.0}},
            {"repo_index": 2, "repo_name": "c", "status": "completed"},
        ],
        "failed_repositories": [{"repo_name": HOSTILE, "error": HOSTILE, "status": "failed",
            "failure": {"kind": "clone", "detail": "x"}}],
        "pending_repositories": [HOSTILE.to_uppercase()]});
    event(&mut app, 1, "snapshot", data);
    app
}

fn repository() -> App {
    let mut app = job();
    let effects = press(&mut app, Key::Enter, Utc::now());
    let Effect::FollowLog { feed, .. } = effects[0] else { panic!("{effects:?}") };
    app.apply(Input::Log { feed, piece: format!("{HOSTILE}\nlast line\n").into() }, Utc::now());
    app
}

/// Breaks if a view fails at a size of the terminal, or passes on what a terminal interprets.
#[test]
fn every_view_is_drawn_at_every_size() {
    for (make, keys) in [
        (list as fn() -> App, vec![]),
        (list, vec![Key::Help]),
        (list, vec![Key::Char('c')]),
        (list, vec![Key::Char('/'), Key::Char('群')]),
        (job, vec![]),
        (job, vec![Key::Char('c')]),
        (repository, vec![]),
        (repository, vec![Key::Right]),
    ] {
        let mut app = make();
        for key in keys {
            press(&mut app, key, Utc::now());
        }
        // The layouts change at 60 and 100 columns.
        let widths = (0..12).chain([20, 39, 40]).chain(58..62).chain([80, 99, 100, 200, 1000]);
        for width in widths {
            for height in (0..14).chain([24, 100]) {
                for row in frame(&app, width, height) {
                    let is_harmless = |c: char| !crate::model::control_chars::is_invisible(c);
                    assert!(row.chars().all(is_harmless), "{row:?}");
                }
            }
        }
    }
}

#[track_caller]
fn assert_shows(app: &App, width: u16, texts: &[&str]) {
    let frame = frame(app, width, 24);
    for text in texts {
        assert!(frame.iter().any(|row| row.contains(text)), "{text}: {frame:#?}");
    }
}

#[test]
fn states_have_a_sign_and_a_word() {
    assert_shows(
        &list(),
        80,
        &["◑ running", " 50%", "12/3/40", "! degraded (2 problems): \\u{1b}"],
    );
    assert_shows(&list(), 40, &["◑ running", " 50%", "Enter open"]);
    let texts =
        ["✗ failed", "◑ scanning", "○ pending", "✓ completed", "about 30 s left", "▚ 1 failed"];
    assert_shows(&job(), 80, &texts);
    assert_shows(&job(), 80, &["clone: \\u{1b}", "The detail has the cause"]);
    assert_shows(&job(), 40, &["▚ 1 fail", "✗ failed"]);
    assert_shows(&repository(), 80, &["── log · lines 1–3 · following", "last line"]);
}

#[test]
fn what_is_old_says_so() {
    let mut app = list();
    let since = Utc::now() - chrono::TimeDelta::seconds(75);
    app.apply(Input::Lost { feed: ALL_JOBS, cause: "refused".to_owned(), since }, Utc::now());
    assert_shows(&app, 80, &["! connection lost, retrying; data is 1 min 15 s old: refused"]);
}

#[test]
fn a_user_sees_the_commands_of_the_scope() {
    let mut app = list();
    assert_shows(&app, 80, &["r retry  c cancel  d delete"]);
    app.apply(Input::Session(json!({"user": "x", "scope": "read"})), Utc::now());
    let frame = frame(&app, 80, 24);
    assert!(
        !frame.iter().any(|row| row.contains("cancel") || row.contains("delete")),
        "{frame:#?}"
    );
}

/// Breaks if a frame costs the repositories of a job, and not the rows in sight.
#[test]
fn ten_thousand_repositories_are_drawn_by_the_rows_in_sight() {
    let mut app = job();
    let row = |index: u32| json!({"repo_index": index, "repo_name": format!("r{index}"), "status": "failed"});
    let rows: Vec<Value> = (0..10_000).map(row).collect();
    event(&mut app, 1, "snapshot", json!({"status": "in_progress", "repositories": rows}));
    let time = |_| {
        let began = Instant::now();
        assert!(frame(&app, 80, 24).iter().any(|row| row.contains("r3 ")));
        began.elapsed()
    };
    // The fastest, because other processes slow down the others.
    let fastest = (0..100).map(time).min();
    // It takes about a millisecond; a frame that visits all rows takes tens.
    assert!(fastest < Some(Duration::from_millis(10)), "{fastest:?}");
}
