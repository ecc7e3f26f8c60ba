//! What the keys do.
//!
//! Input: keys. Output: changes of the state, and requests to the server. Invariants: pure; no
//! command is sent without a confirmation that names what it affects; a user who may not send a
//! command cannot begin it; Ctrl-C ends the program whatever is shown.

use super::{
    app::App,
    facts,
    jobs::TABS,
    keys::Key,
    messages::{Effect, Verb},
    screens::{Confirmation, JobScreen, Mode},
};
use crate::{
    cli::Exit,
    model::{control_chars::is_invisible, job_query, state::Summary, time::Timestamp},
};
use std::time::Duration;

/// The pause between a key of a filter and the request, in which another key may follow.
const TYPING_PAUSE: Duration = Duration::from_millis(200);
/// How far a log moves to the side.
const SIDE_STEP: usize = 20;
/// The farthest that a log moves to the side; no line is drawn much farther (`view::text`).
const MAX_LEFT: usize = 1_900;

/// Applies a key.
pub(super) fn press(app: &mut App, key: Key, now: Timestamp) -> Vec<Effect> {
    app.notice = None;
    match key {
        Key::Interrupt => return vec![Effect::Exit(Exit::Interrupted)],
        Key::Quit => return vec![Effect::Exit(Exit::Done)],
        Key::Redraw => return vec![Effect::Redraw],
        _ => {}
    }
    match std::mem::replace(&mut app.mode, Mode::View) {
        // Any key closes the help.
        Mode::Help => Vec::new(),
        Mode::Filter { text, before } => press_in_filter(app, key, text, before),
        Mode::Confirm(asked) if matches!(key, Key::Char('y' | 'Y')) => {
            vec![Effect::Send(asked.verb, asked.job)]
        }
        Mode::Confirm(_) => {
            app.notice = Some("nothing was changed".to_owned());
            Vec::new()
        }
        Mode::View => press_in_view(app, key, now),
    }
}

fn press_in_filter(app: &mut App, key: Key, mut text: String, before: String) -> Vec<Effect> {
    match key {
        Key::Enter => return Vec::new(),
        Key::Escape => return set_filter(app, &before),
        Key::Clear => text.clear(),
        Key::Backspace if text.is_empty() => return set_filter(app, ""),
        Key::Backspace => {
            text.pop();
        }
        Key::Char(c) if !is_invisible(c) && text.len() + c.len_utf8() <= job_query::MAX_LENGTH => {
            text.push(c);
        }
        _ => {}
    }
    let effects = set_filter(app, &text);
    app.mode = Mode::Filter { text, before };
    effects
}

fn set_filter(app: &mut App, filter: &str) -> Vec<Effect> {
    match &mut app.job {
        Some(screen) => {
            screen.details.set_filter(filter);
            Vec::new()
        }
        None => show_part(app, app.jobs.tab, filter, 1, TYPING_PAUSE),
    }
}

/// Shows a part of the list.
fn show_part(app: &mut App, tab: usize, filter: &str, page: u64, pause: Duration) -> Vec<Effect> {
    app.jobs.select(tab, filter, page);
    // The newest jobs are known, and requested again nevertheless: an earlier request must not
    // answer last.
    vec![app.list(pause)]
}

fn press_in_view(app: &mut App, key: Key, now: Timestamp) -> Vec<Effect> {
    match key {
        Key::Help | Key::Char('?') => {
            app.mode = Mode::Help;
            Vec::new()
        }
        Key::Char('r') => begin(app, Verb::Retry),
        Key::Char('c') => begin(app, Verb::Cancel),
        Key::Char('d') => begin(app, Verb::Delete),
        Key::Char('p') => begin(app, Verb::Pause),
        Key::Char('u') => begin(app, Verb::Resume),
        Key::Char('b') => begin(app, Verb::Bump),
        _ if app.job.is_none() => press_in_list(app, key),
        _ if app.job.as_ref().is_some_and(|screen| screen.repository.is_some()) => {
            press_in_repository(app, key)
        }
        _ => press_in_job(app, key, now),
    }
}

fn press_in_list(app: &mut App, key: Key) -> Vec<Effect> {
    if let Some(motion) = key.motion() {
        app.jobs.go(motion);
        return Vec::new();
    }
    let (tab, filter, (page, pages)) = (app.jobs.tab, app.jobs.filter.clone(), app.jobs.page());
    match key {
        Key::Enter => match app.target() {
            Some((id, url, _, summary)) => app.open_job(id, url, summary),
            None => Vec::new(),
        },
        // The first step back is out of the filter.
        Key::Escape | Key::Backspace if !filter.is_empty() || tab > 0 || page > 1 => {
            show_part(app, 0, "", 1, Duration::ZERO)
        }
        Key::Char('q') => vec![Effect::Exit(Exit::Done)],
        Key::Char('/') => {
            app.mode = Mode::Filter { text: filter.clone(), before: filter };
            Vec::new()
        }
        Key::Char('s') => {
            app.jobs.sort_differently();
            Vec::new()
        }
        Key::Tab | Key::Right => show_part(app, tab + 1, &filter, 1, Duration::ZERO),
        Key::BackTab | Key::Left => {
            show_part(app, tab + TABS.len() - 1, &filter, 1, Duration::ZERO)
        }
        Key::Char(']') if page < pages => show_part(app, tab, &filter, page + 1, Duration::ZERO),
        Key::Char('[') if page > 1 => show_part(app, tab, &filter, page - 1, Duration::ZERO),
        _ => Vec::new(),
    }
}

fn press_in_job(app: &mut App, key: Key, now: Timestamp) -> Vec<Effect> {
    let server_time = app.server_time(now);
    let Some(JobScreen { details, .. }) = &mut app.job else { return Vec::new() };
    if let Some(motion) = key.motion() {
        details.go(motion, server_time);
        return Vec::new();
    }
    match key {
        Key::Enter => match details.selected().map(|row| row.index) {
            Some(index) => return app.open_repository(index),
            None if details.order().is_empty() => {}
            None => app.notice = Some("this repository has not started".to_owned()),
        },
        Key::Escape | Key::Backspace if !details.filter.is_empty() => details.set_filter(""),
        Key::Escape | Key::Backspace | Key::Char('q') => return app.leave_job(),
        Key::Char('/') => {
            let filter = details.filter.clone();
            app.mode = Mode::Filter { text: filter.clone(), before: filter };
        }
        Key::Char('s') => details.sort_differently(),
        _ => {}
    }
    Vec::new()
}

fn press_in_repository(app: &mut App, key: Key) -> Vec<Effect> {
    let Some(screen) = app.job.as_mut().and_then(|screen| screen.repository.as_mut()) else {
        return Vec::new();
    };
    if let Some(motion) = key.motion() {
        screen.log.go(motion);
        return Vec::new();
    }
    match key {
        Key::Left => screen.left = screen.left.saturating_sub(SIDE_STEP),
        Key::Right => screen.left = (screen.left + SIDE_STEP).min(MAX_LEFT),
        Key::Escape | Key::Backspace | Key::Char('q') => return app.leave_repository(),
        _ => {}
    }
    Vec::new()
}

/// Asks for the confirmation of a command, if it is possible.
fn begin(app: &mut App, verb: Verb) -> Vec<Effect> {
    if !app.may(verb) {
        return Vec::new();
    }
    let Some((job, url, state, summary)) = app.target() else { return Vec::new() };
    if let Some(reason) = refusal(verb, &state, summary) {
        app.notice = Some(reason.to_owned());
    } else {
        let mut lines = vec![format!("{url} ({job})")];
        lines.extend(consequences(verb, &state, summary));
        app.mode = Mode::Confirm(Confirmation { verb, job, lines });
    }
    Vec::new()
}

/// Why a command would do nothing.
fn refusal(verb: Verb, state: &str, summary: Summary) -> Option<&'static str> {
    match verb {
        Verb::Cancel | Verb::Pause | Verb::Resume | Verb::Bump if facts::is_finished(state) => {
            Some("the job is finished")
        }
        Verb::Retry if !facts::is_finished(state) => Some("the job is not finished"),
        Verb::Retry if summary.failed == 0 => Some("no repository failed"),
        _ => None,
    }
}

/// What a command affects.
fn consequences(verb: Verb, state: &str, summary: Summary) -> Vec<String> {
    let Summary { total_repositories: total, completed, failed, .. } = summary;
    let unfinished = total.saturating_sub(completed + failed);
    let noun = if total == 1 { "repository" } else { "repositories" };
    match verb {
        Verb::Cancel => vec![
            format!("{unfinished} of {total} {noun} not finished. Running scans end,"),
            "the others never start. What is finished stays.".to_owned(),
        ],
        Verb::Retry => vec![
            format!("{failed} of {total} {noun} failed, to be scanned again."),
            "The others are not touched.".to_owned(),
        ],
        Verb::Pause => vec![
            format!("{unfinished} of {total} {noun} not finished. Running scans end on their own,"),
            "the others wait until the job is resumed.".to_owned(),
        ],
        Verb::Resume => vec![format!("{unfinished} of {total} {noun} are scanned.")],
        Verb::Bump => vec![
            "The slots of its user go to this job first.".to_owned(),
            "The jobs of other users are not affected.".to_owned(),
        ],
        Verb::Delete => {
            let mut lines = vec![
                format!("Status, results and logs of {total} {noun} are removed."),
                "They cannot be brought back.".to_owned(),
            ];
            if !facts::is_finished(state) {
                lines.push("Running scans end first.".to_owned());
            }
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::messages::{ALL_JOBS, Input};
    use chrono::Utc;
    use serde_json::json;

    fn app(scope: &str) -> App {
        let mut app = App::new(String::new(), &json!({"scope": scope}));
        let rows = json!([
            {"job_id": "a", "status": "running", "git_url": "https://x.example/a", "total_repositories": 5,
             "completed_repositories": 1, "failed_repositories": 1, "created_at": "2026-01-02T00:00:00Z"},
            {"job_id": "b", "status": "failed", "git_url": "https://x.example/b", "total_repositories": 3,
             "failed_repositories": 3, "created_at": "2026-01-01T00:00:00Z"},
        ]);
        let data = json!({"jobs": rows, "total": 2, "counts": {"running": 1, "failed": 1}});
        app.apply(Input::Event { feed: ALL_JOBS, event: "snapshot".to_owned(), data }, Utc::now());
        app
    }

    fn type_in(app: &mut App, keys: &str) -> Vec<Effect> {
        let press = |key| press(app, Key::Char(key), Utc::now());
        keys.chars().flat_map(press).collect()
    }

    #[test]
    fn a_command_needs_a_confirmation_that_names_what_it_affects() {
        let mut app = app("admin");
        assert!(type_in(&mut app, "c").is_empty());
        let Mode::Confirm(asked) = &app.mode else { panic!("{:?}", app.mode) };
        assert_eq!(asked.lines[0], "https://x.example/a (a)");
        assert!(asked.lines[1].starts_with("3 of 5 repositories not finished"), "{asked:?}");
        // Any other key is no confirmation.
        assert!(press(&mut app, Key::Enter, Utc::now()).is_empty());
        assert!(matches!(app.mode, Mode::View));
        assert_eq!(type_in(&mut app, "cy"), [Effect::Send(Verb::Cancel, "a".parse().unwrap())]);
        for (keys, verb) in [("py", Verb::Pause), ("uy", Verb::Resume), ("by", Verb::Bump)] {
            assert!(type_in(&mut app, &keys[..1]).is_empty(), "{keys} asks first");
            let sent = type_in(&mut app, &keys[1..]);
            assert_eq!(sent, [Effect::Send(verb, "a".parse().unwrap())]);
        }
        // What would do nothing is explained, and not asked.
        for (keys, notice) in [
            ("r", "the job is not finished"),
            ("jc", "the job is finished"),
            ("p", "the job is finished"),
        ] {
            assert!(type_in(&mut app, keys).is_empty());
            assert_eq!(app.notice.as_deref(), Some(notice), "{keys}");
        }
        assert_eq!(type_in(&mut app, "dy"), [Effect::Send(Verb::Delete, "b".parse().unwrap())]);
    }

    #[test]
    fn a_user_has_the_commands_of_the_scope() {
        let mut reader = app("read");
        assert!(type_in(&mut reader, "cyryjrydypyuyby").is_empty());
        let mut writer = app("write");
        assert!(type_in(&mut writer, "dy").is_empty());
        assert_eq!(type_in(&mut writer, "cy").len(), 1);
    }

    #[test]
    fn the_filter_follows_the_keys_and_returns_to_the_one_before() {
        let mut app = app("read");
        let effects = type_in(&mut app, "/a\u{202e}b");
        let path = "/jobs?page=1&per_page=100&q=ab".to_owned();
        assert_eq!(effects.last(), Some(&Effect::List { path, pause: TYPING_PAUSE }));
        press(&mut app, Key::Enter, Utc::now());
        type_in(&mut app, "/c");
        assert_eq!(app.jobs.filter, "abc");
        press(&mut app, Key::Escape, Utc::now());
        assert_eq!(app.jobs.filter, "ab");
        // Keys of a filter are no commands.
        type_in(&mut app, "/q");
        press(&mut app, Key::Clear, Utc::now());
        press(&mut app, Key::Backspace, Utc::now());
        assert_eq!((app.jobs.filter.as_str(), matches!(app.mode, Mode::View)), ("", true));
        type_in(&mut app, &format!("/{}", "x".repeat(500)));
        assert_eq!(app.jobs.filter.len(), job_query::MAX_LENGTH);
    }

    #[test]
    fn each_view_leads_back_to_the_one_before() {
        let mut app = app("read");
        let follow = press(&mut app, Key::Enter, Utc::now());
        assert_eq!(follow, [Effect::FollowJob { feed: 1, job: "a".parse().unwrap() }]);
        let data = json!({"repositories": [{"repo_index": 7, "status": "completed"}]});
        app.apply(Input::Event { feed: 1, event: "snapshot".to_owned(), data }, Utc::now());
        app.job.as_mut().unwrap().details.arrange(Utc::now());
        let follow = press(&mut app, Key::Enter, Utc::now());
        assert_eq!(follow, [Effect::FollowLog { feed: 2, job: "a".parse().unwrap(), index: 7 }]);
        assert_eq!(type_in(&mut app, "q"), [Effect::LeaveLog]);
        assert_eq!(type_in(&mut app, "q"), [Effect::LeaveLog, Effect::LeaveJob]);
        assert_eq!(type_in(&mut app, "?q"), [], "a key closes the help");
        assert_eq!(type_in(&mut app, "q"), [Effect::Exit(Exit::Done)]);
        type_in(&mut app, "/");
        let interrupted = press(&mut app, Key::Interrupt, Utc::now());
        assert_eq!(interrupted, [Effect::Exit(Exit::Interrupted)]);
    }
}
