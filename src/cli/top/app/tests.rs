use super::*;
use chrono::Utc;
use serde_json::json;

fn app() -> App {
    App::new("http://s".to_owned(), &json!({"user": "ann", "scope": "write"}))
}

fn event(feed: Feed, event: &str, data: Value) -> Input {
    Input::Event { feed, event: event.to_owned(), data }
}

#[test]
fn an_outage_lasts_until_the_server_sends_something() {
    let (mut app, now) = (app(), Utc::now());
    let lost = |cause: &str, seconds: i64| Input::Lost {
        feed: ALL_JOBS,
        cause: cause.to_owned(),
        since: now - TimeDelta::seconds(seconds),
    };
    app.apply(lost("one", 20), now);
    // The age is that of the data, however often the cause changes.
    app.apply(lost("two", 1), now);
    let outage = app.outage().unwrap();
    assert_eq!((outage.cause.as_str(), outage.since), ("two", now - TimeDelta::seconds(20)));
    assert!(app.is_ticking());
    // The scope may have changed with a restart, and a request for the list may have failed.
    let effects = app.apply(Input::Reconnected { feed: ALL_JOBS }, now);
    assert_eq!(effects, [Effect::LearnSession, app.list(Duration::ZERO)]);
    assert!(app.outage().is_none() && !app.is_ticking());
    app.apply(lost("three", 1), now);
    app.apply(event(ALL_JOBS, "job", json!({})), now);
    assert!(app.outage().is_none());
}

#[test]
fn messages_for_what_is_no_longer_shown_change_nothing() {
    let (mut app, now) = (app(), Utc::now());
    app.open_job("a".parse().unwrap(), String::new(), Summary::default());
    app.leave_job();
    app.open_job("b".parse().unwrap(), String::new(), Summary::default());
    let row = json!({"repo_index": 0, "status": "scanning"});
    app.apply(event(1, "repository", row.clone()), now);
    app.apply(Input::Removed { feed: 1 }, now);
    app.apply(Input::Lost { feed: 1, cause: String::new(), since: now }, now);
    assert_eq!(app.job.as_ref().map(|screen| screen.details.len()), Some(0));
    assert!(app.outage().is_none());
    app.apply(event(2, "repository", row), now);
    assert_eq!(app.job.as_ref().map(|screen| screen.details.len()), Some(1));
    app.apply(Input::Removed { feed: 2 }, now);
    assert!(app.job.is_none() && app.notice.is_some());
}

#[test]
fn a_job_that_is_scanned_again_is_followed_again() {
    let (mut app, now) = (app(), Utc::now());
    let id: JobId = "a".parse().unwrap();
    app.open_job(id.clone(), String::new(), Summary::default());
    app.apply(event(1, "end", json!({"status": "failed"})), now);
    let again = json!({"job_id": "a", "status": "in_progress"});
    // Its stream has not ended yet.
    let effects = app.apply(event(ALL_JOBS, "job", again.clone()), now);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::FollowJob { .. })));
    app.apply(Input::Ended { feed: 1 }, now);
    let effects = app.apply(event(ALL_JOBS, "job", again), now);
    assert!(effects.contains(&Effect::FollowJob { feed: 2, job: id.clone() }), "{effects:?}");
    let sent = Input::Answered { verb: Verb::Retry, job: id.clone(), result: Ok(()) };
    assert_eq!(app.apply(sent, now), [Effect::FollowJob { feed: 3, job: id }]);
}

#[test]
fn the_log_of_another_attempt_replaces_the_one_before() {
    let (mut app, now) = (app(), Utc::now());
    app.open_job("a".parse().unwrap(), String::new(), Summary::default());
    app.open_repository(4);
    app.apply(Input::Log { feed: 2, piece: b"one\n".to_vec() }, now);
    let working = json!({"repo_index": 4, "status": "cloning"});
    assert!(app.apply(event(1, "repository", working.clone()), now).is_empty());
    app.apply(Input::LogEnded { feed: 2, error: None }, now);
    let effects = app.apply(event(1, "repository", working), now);
    assert_eq!(effects, [Effect::FollowLog { feed: 3, job: "a".parse().unwrap(), index: 4 }]);
    app.apply(Input::Log { feed: 2, piece: b"late\n".to_vec() }, now);
    let open = app.job.as_ref().unwrap().repository.as_ref().unwrap();
    assert_eq!(open.log.len(), 0);
}

#[test]
fn the_clock_is_that_of_the_server() {
    let (mut app, now) = (app(), Utc::now());
    let ahead = now + TimeDelta::hours(1);
    let health = json!({"timestamp": ahead.to_rfc3339(), "problems": ["full"],
        "scanners": {"running": 2, "queued": 3}});
    app.apply(Input::Health(health), now);
    assert_eq!(app.server_time(now), ahead);
    assert_eq!((app.health.problems.len(), app.health.running, app.health.queued), (1, 2, 3));
}
