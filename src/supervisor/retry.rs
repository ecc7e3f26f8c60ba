//! Repositories between two tries: how they wait, on the disk and in the loop.
//!
//! Input: an attempt that failed for a cause that may pass, and what is left of its
//! retries. Output: a status file that says what is waited for, and a timer.
//!
//! Invariants: which retry an attempt is stands in its record; the status file of a
//! repository that waits for a retry names the failure before it, that of one that waits because
//! somebody asked for it does not. So nothing but the disk has to remember, and a crash between
//! any two writes neither gives nor takes a retry.

use super::{
    RepoKey, actor::Actor, finals::read_status, recovery::Found, scheduler::Event, spawn::Shim,
};
use crate::{
    model::{
        FailureKind, RepoState,
        attempt::AttemptRecord,
        repository::{RepositoryStatus, StatusPatch, raw_object},
        retry::{Retries, Retry},
    },
    store::{StoreError, atomic::Durability, chain, layout::JobDir},
};
use chrono::Utc;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::sleep;

/// The attempt that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) attempt: u64,
    /// How many shims of this repository died without a word so far.
    pub(super) interruptions: u64,
    /// Which retry it is of those that were asked for.
    pub(super) retries: u64,
    /// How long it is still waited for.
    pub(super) pause: Duration,
}

impl Next {
    /// As wanted by somebody, or for the first time: nothing is counted yet.
    pub(super) fn afresh(attempt: u64) -> Self {
        Self { attempt, interruptions: 0, retries: 0, pause: Duration::ZERO }
    }

    /// One that begins as soon as it can, after an attempt that was cut short.
    pub(super) fn after(record: &AttemptRecord, interruptions: u64) -> Self {
        let attempt = record.attempt + 1;
        Self { attempt, interruptions, retries: record.retries, pause: Duration::ZERO }
    }
}

/// A pause that is over: of this repository, before this attempt.
pub(super) type PauseOver = (RepoKey, u64);

/// Has a repository wait for its next try, after `failed`.
pub(super) fn begin(
    folder: &JobDir,
    key: &RepoKey,
    (name, git_url): (&str, &str),
    record: &AttemptRecord,
    failed: Box<RepositoryStatus>,
    again: &Retry,
) -> Found {
    let next = Next {
        attempt: record.attempt + 1,
        interruptions: record.interruptions,
        retries: again.number,
        pause: again.pause,
    };
    let written = write_waiting(folder, key.index, name, git_url, next.attempt, Some(again));
    if let Err(error) = written {
        // Whoever finds the failure decides the same again.
        tracing::warn!(repository = %key, error = chain(&error), "cannot write that a repository is tried again");
    }
    Found::TriedAgain { failed, cause: again.cause, next }
}

/// What a repository waits for whose status names the attempt after the last that began.
pub(super) fn awaited(record: &AttemptRecord, status: &RepositoryStatus, retries: Retries) -> Next {
    let attempt = record.attempt + 1;
    if status.failure.is_none() {
        return Next::afresh(attempt);
    }
    let number = record.retries + 1;
    let whole = retries.pause(number);
    // Of a time that lies ahead, the clock was set back since.
    let waited = status.last_update.and_then(|since| (Utc::now() - since).to_std().ok());
    let pause = whole.saturating_sub(waited.unwrap_or_default());
    Next { attempt, interruptions: record.interruptions, retries: number, pause }
}

/// Begins a repository's status anew: it waits for this attempt.
pub(super) fn write_waiting(
    folder: &JobDir,
    index: u32,
    name: &str,
    git_url: &str,
    attempt: u64,
    because: Option<&Retry>,
) -> Result<(), StoreError> {
    let before = read_status(folder, index)?.and_then(|(_, bytes)| raw_object(&bytes));
    // Nothing of the earlier attempt stays but the count of writes, and what explains its end.
    let stays = |key: &str| key == "revision" || (key == "stderr" && because.is_some());
    let kept = before.map(|map| map.into_iter().filter(|(key, _)| stays(key)).collect());
    let patch = StatusPatch {
        index,
        name,
        git_url,
        attempt,
        word: RepoState::Pending.as_str(),
        now: Utc::now(),
        started_at: None,
        failure: because.map(|it| &it.failure),
    };
    let mut value = patch.apply(kept);
    if let Some(because) = because {
        value["message"] = because.message.as_str().into();
    }
    folder.write_status(index, &value, Durability::Flushed)
}

/// What a status file says, without a try that will not be made now.
pub(super) fn without_announcement(mut status: Map<String, Value>) -> Map<String, Value> {
    let waits = status.get("status").is_some_and(|it| it == RepoState::Pending.as_str());
    if waits && status.contains_key("failure") {
        status.remove("message");
    }
    status
}

impl Actor {
    /// An attempt has failed, and there will be another.
    pub(super) fn tried_again(
        &mut self,
        key: RepoKey,
        shim: Option<&Shim>,
        failed: &RepositoryStatus,
        cause: FailureKind,
        next: Next,
    ) {
        self.note_scan(shim, failed.state, failed.started_at, failed.completed_at);
        self.note_retry(&key, cause, next);
        if let Some(job) = self.jobs.get_mut(&key.job) {
            job.note_waiting(key.index);
            job.expect_attempt(key.index, next);
        }
        self.time_pause(&key, next);
        self.on(Event::Paused(key));
    }

    pub(super) fn note_retry(&self, key: &RepoKey, cause: FailureKind, next: Next) {
        let pause_secs = next.pause.as_secs();
        tracing::info!(repository = %key, cause = cause.as_str(), retry = next.retries, pause_secs, "scan failed, and is tried again");
        self.handle.scans().note_retry(cause);
    }

    /// Sees to it that the pause before this attempt ends.
    pub(super) fn time_pause(&mut self, key: &RepoKey, next: Next) {
        let (key, attempt) = (key.clone(), next.attempt);
        self.pauses.spawn(async move {
            sleep(next.pause).await;
            (key, attempt)
        });
    }

    pub(super) fn pause_over(&mut self, (key, attempt): PauseOver) {
        // Of a repository that was cancelled, and then began again by hand, a pause may be left.
        if self.next_attempt(&key) == attempt {
            self.on(Event::PauseOver(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Failure, master::Master, plan::Plan},
        store::{attempt, layout::JobsDir},
        supervisor::{
            Setup,
            ended::{Ended, Tree},
            recovery::find,
        },
    };

    fn awaited_after(since: Duration, failure: &Value) -> Next {
        let record = AttemptRecord {
            schema: 1,
            attempt: 4,
            interruptions: 1,
            retries: 2,
            started_at: Utc::now(),
        };
        let at = Utc::now() - since;
        let file = serde_json::json!({
            "status": "pending", "attempt": 5, "last_update": at.to_rfc3339(), "failure": failure,
        });
        let (status, _) = RepositoryStatus::parse(0, file.to_string().as_bytes()).unwrap();
        awaited(&record, &status, Retries::new(5, Duration::from_secs(10)))
    }

    #[test]
    fn what_is_waited_for_follows_from_the_disk() {
        let failure = serde_json::json!({ "kind": "exit", "detail": "" });
        let next = awaited_after(Duration::from_secs(25), &failure);
        assert_eq!((next.attempt, next.retries, next.interruptions), (5, 3, 1));
        // The third pause is 40 seconds.
        assert!((14..=15).contains(&next.pause.as_secs()), "{next:?}");
        assert_eq!(awaited_after(Duration::from_hours(1), &failure).pause, Duration::ZERO);
        assert_eq!(awaited_after(Duration::from_secs(25), &Value::Null), Next::afresh(5));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_pause_longer() {
        let record = AttemptRecord {
            schema: 1,
            attempt: 1,
            interruptions: 0,
            retries: 0,
            started_at: Utc::now(),
        };
        let ahead = Utc::now() + chrono::TimeDelta::days(2);
        let file = serde_json::json!({
            "status": "pending", "attempt": 2, "last_update": ahead.to_rfc3339(),
            "failure": { "kind": "exit", "detail": "" },
        });
        let (status, _) = RepositoryStatus::parse(0, file.to_string().as_bytes()).unwrap();
        let next = awaited(&record, &status, Retries::new(5, Duration::from_secs(10)));
        assert_eq!(next.pause, Duration::from_secs(10));
    }

    const URL: &str = "https://h.example/r.git";

    /// A repository whose attempt 4, its second retry, has ended in this state.
    fn ended(word: &str, failure: &Failure) -> (tempfile::TempDir, Setup, RepoKey) {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(root.path()).unwrap();
        jobs.create(0o750).unwrap();
        let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
        let plan = Plan::of([("r".to_owned(), URL.to_owned())]);
        let folder = jobs.create_job(&key.job, 0o750, &Master::default(), &plan).unwrap();
        let started_at = Utc::now();
        let record =
            AttemptRecord { schema: 1, attempt: 4, interruptions: 1, retries: 2, started_at };
        attempt::write(&folder, 0, &record).unwrap();
        let patch = StatusPatch {
            index: 0,
            name: "r",
            git_url: URL,
            attempt: 4,
            word,
            now: Utc::now(),
            started_at: None,
            failure: Some(failure),
        };
        folder.write_status(0, &patch.apply(None), Durability::Flushed).unwrap();
        (root, Setup::of_test(jobs), key)
    }

    fn found(setup: &Setup, key: &RepoKey, most: u64) -> (&'static str, Option<Next>) {
        let rules = Retries::new(most, Duration::from_hours(1));
        match find(setup, key, "r", URL, &Ended::unknown(Tree::Ended), rules).unwrap() {
            Found::Over(_) => ("over", None),
            Found::TriedAgain { next, .. } => ("tried again", Some(next)),
            Found::Queued(next) => ("waits", Some(next)),
            Found::Running(_) | Found::Refused(_) => panic!("nothing runs, nothing is refused"),
        }
    }

    #[test]
    fn a_failure_counts_once_however_often_it_is_found() {
        let failure = Failure::new(FailureKind::Exit, "of the test");
        let (_root, setup, key) = ended("failed", &failure);
        assert_eq!(found(&setup, &key, 2), ("over", None), "both are used up");
        let (word, next) = found(&setup, &key, 3);
        let next = next.unwrap();
        assert_eq!(
            (word, next.attempt, next.retries, next.interruptions),
            ("tried again", 5, 3, 1)
        );
        // Each time as by another server: nothing but the disk remembers.
        for _ in 0..2 {
            let (word, again) = found(&setup, &key, 3);
            let again = again.unwrap();
            assert_eq!((word, again.attempt, again.retries), ("waits", 5, 3));
            assert!(again.pause <= next.pause, "{again:?}");
        }
    }

    #[test]
    fn an_attempt_that_was_cut_short_uses_up_no_retry() {
        let failure = Failure::new(FailureKind::Interrupted, "by a stop");
        let (_root, setup, key) = ended("interrupted", &failure);
        let next = found(&setup, &key, 3).1.unwrap();
        assert_eq!((next.attempt, next.retries, next.pause), (5, 2, Duration::ZERO));
    }

    #[test]
    fn what_waits_by_hand_begins_to_count_anew() {
        let failure = Failure::new(FailureKind::Exit, "of the test");
        let (_root, setup, key) = ended("failed", &failure);
        write_waiting(&setup.jobs.job(&key.job), 0, "r", URL, 5, None).unwrap();
        assert_eq!(found(&setup, &key, 3), ("waits", Some(Next::afresh(5))));
    }
}
