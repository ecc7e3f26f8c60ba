//! Tests of the events that follow from the states of a job.

use super::*;
use crate::model::{Failure, FailureKind, JobState, state::Summary};

const NAMES: [&str; 5] =
    ["job.created", "job.started", "repository.finished", "repository.failed", "job.finished"];

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_000_000 + seconds)
}

fn facts(state: JobState, completed_at: Option<i64>) -> JobFacts {
    JobFacts {
        id: "job".parse().unwrap(),
        url: Some("https://h.example/group".into()),
        state,
        summary: Summary::default(),
        started_at: Some(at(0)),
        folder_time: at(0),
        completed_at: completed_at.map(at),
        error: None,
        schedule: None,
        skipped: 0,
        discovering: false,
        discovery_errors: 0,
        paused: false,
        archived: false,
        fraction: 0.0,
    }
}

fn repository(index: u32, state: RepoState, attempt: Option<u64>) -> RepositoryStatus {
    let text = serde_json::json!({
        "status": state.as_str(), "attempt": attempt, "git_url": "https://h.example/r.git", "completed_at": time::format(at(1)),
    });
    RepositoryStatus::parse(index, text.to_string().as_bytes()).unwrap().0
}

/// A record that advances, and the names of the events so far.
#[derive(Default)]
struct Job {
    marker: Option<Marker>,
    options: Options,
    now: i64,
    incomplete: bool,
}

impl Job {
    #[track_caller]
    fn expect(
        &mut self,
        facts: &JobFacts,
        all: &[RepositoryStatus],
        expected: &[&str],
    ) -> Vec<Event> {
        let (known, mut marker) = (self.marker.is_some(), self.marker.clone().unwrap_or_default());
        let seen = Seen {
            facts,
            is_over: facts.state.is_final(),
            error: None,
            options: &self.options,
            public_url: "https://s.example",
            now: at(self.now),
        };
        let news = marker.advance(known, &seen, &mut all.iter());
        // A crash before the record is written gives the same events with the same ids.
        let mut again = self.marker.clone().unwrap_or_default();
        assert_eq!(again.advance(known, &seen, &mut all.iter()), news);
        self.incomplete = news.is_incomplete;
        let text = serde_json::to_string(&marker).unwrap();
        self.marker = Some(serde_json::from_str(&text).unwrap());
        let names: Vec<_> = news.events.iter().map(|event| event.payload.event.as_str()).collect();
        assert_eq!(names, expected);
        assert!(names.iter().all(|name| NAMES.contains(name)));
        news.events
    }
}

/// Fails if a state gives its event twice, or if a state that was passed unseen gives none.
#[test]
fn each_state_gives_its_event_once() {
    let mut job = Job { now: 100, ..Job::default() };
    let working = [repository(0, RepoState::parse("scanning"), Some(1))];
    let done =
        [repository(0, RepoState::Completed, Some(1)), repository(1, RepoState::Failed, None)];
    job.expect(&facts(JobState::Initializing, None), &[], &["job.created"]);
    job.expect(&facts(JobState::Initializing, None), &[], &[]);
    job.expect(&facts(JobState::InProgress, None), &working, &["job.started"]);
    let both = ["repository.finished", "repository.failed"];
    job.expect(&facts(JobState::Processing, None), &done, &both);
    let over = facts(JobState::CompletedWithErrors, Some(9));
    let events = job.expect(&over, &done, &["job.finished"]);
    let Data::Job(data) = &events[0].payload.data else { panic!("no job") };
    assert_eq!(data.url.as_deref(), Some("https://s.example/scan/job"));
    job.expect(&over, &done, &[]);
    assert!(job.marker.as_ref().unwrap().deleted(&over.id, at(9)).is_none());

    let mut late = Job::default();
    let all = [&["job.created", "job.started"][..], &both, &["job.finished"]].concat();
    late.expect(&over, &done, &all);
}

/// Fails if a job that is retried sends no second final state, or one with the id of the first.
#[test]
fn a_continued_job_ends_again() {
    let mut job = Job::default();
    let (first, second) = (facts(JobState::Failed, Some(2)), facts(JobState::Completed, Some(5)));
    let failed = [repository(0, RepoState::Failed, Some(1))];
    let done = [repository(0, RepoState::Completed, Some(2))];
    let all = ["job.created", "job.started", "repository.failed", "job.finished"];
    let before = job.expect(&first, &failed, &all);
    let working = [repository(0, RepoState::parse("cloning"), Some(2))];
    job.expect(&facts(JobState::InProgress, None), &working, &["job.started"]);
    let after = job.expect(&second, &done, &["repository.finished", "job.finished"]);
    assert_ne!(before[3].id, after[1].id);

    // The same, if the continuation itself was not seen.
    let mut job = Job::default();
    job.expect(&first, &failed, &all);
    let again = ["job.started", "repository.finished", "job.finished"];
    assert_eq!(job.expect(&second, &done, &again)[2].id, after[1].id);
}

/// Fails if an attempt that is followed by a retry is reported as a failure.
#[test]
fn a_failure_that_a_retry_follows_is_held_back() {
    let mut job = Job { options: Options { retries: 1, ..Options::default() }, ..Job::default() };
    let mut failed = repository(0, RepoState::Failed, Some(1));
    failed.failure = Some(Failure::new(FailureKind::Clone, "reset"));
    let running = facts(JobState::InProgress, None);
    job.now = 2;
    job.expect(&running, &[failed.clone()], &["job.created", "job.started"]);
    assert!(job.incomplete);
    let waits = repository(0, RepoState::Pending, Some(2));
    job.expect(&running, &[waits], &[]);
    let mut second = failed.clone();
    second.attempt = Some(2);
    job.expect(&running, &[second.clone()], &[]);
    // Nothing followed it.
    job.now = 30;
    job.expect(&running, &[second], &["repository.failed"]);
    assert!(!job.incomplete);
}

/// Fails if a final state is sent before its shim has completed it, and once more after that.
#[test]
fn a_final_state_that_is_being_completed_is_held_back() {
    let mut job = Job { now: 2, ..Job::default() };
    let running = facts(JobState::InProgress, None);
    let mut partial = repository(0, RepoState::Completed, None);
    partial.git_url = None;
    job.expect(&running, &[partial.clone()], &["job.created", "job.started"]);
    assert!(job.incomplete);
    let complete = [repository(0, RepoState::Completed, Some(1))];
    job.expect(&running, &complete, &["repository.finished"]);
    job.expect(&running, &complete, &[]);
}

/// Fails if a job that is deleted while it runs never ends for a receiver.
#[test]
fn a_job_that_is_deleted_before_its_end_is_reported() {
    let mut job = Job::default();
    let running = facts(JobState::InProgress, None);
    job.expect(&running, &[], &["job.created"]);
    let event = job.marker.unwrap().deleted(&running.id, at(3)).unwrap();
    let Data::Job(data) = event.payload.data else { panic!("no job") };
    assert_eq!((data.status.as_str(), data.git_url.is_some()), ("deleted", true));
}
