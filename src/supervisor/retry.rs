//! Retries: how a repository waits between two attempts, on the disk and in the loop.
//!
//! Input: an attempt that failed with a transient cause, and the job's remaining retries. Output: a
//! status file that announces the retry, and a timer.
//!
//! Invariants: the attempt's record holds the number of its retry; the status file of a repository
//! that waits for an automatic retry names the failure before it, that of one that waits for a
//! requested retry does not. So all state is on the disk, and a crash between any two writes
//! neither adds nor loses a retry.

use super::{
    RepoKey, actor::Actor, final_states::read_status, recovery::Disposition, scheduler::Event,
    spawn::Shim,
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

/// The next attempt of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextAttempt {
    pub(super) attempt: u64,
    /// How many shims of this repository have died without reporting a cause.
    pub(super) interruptions: u64,
    /// The number of this attempt among the requested retries; 0 for the first try.
    pub(super) retries: u64,
    /// The remaining pause before it.
    pub(super) pause: Duration,
}

impl NextAttempt {
    /// A first attempt or a requested one: all counts start at zero.
    pub(super) fn afresh(attempt: u64) -> Self {
        Self { attempt, interruptions: 0, retries: 0, pause: Duration::ZERO }
    }

    /// An attempt that begins as soon as possible, after one that was interrupted.
    pub(super) fn after(record: &AttemptRecord, interruptions: u64) -> Self {
        let attempt = record.attempt + 1;
        Self { attempt, interruptions, retries: record.retries, pause: Duration::ZERO }
    }
}

/// A pause has ended: of this repository, before this attempt.
pub(super) type PauseEnded = (RepoKey, u64);

/// Makes a repository wait for its next attempt, after `failed`.
pub(super) fn begin(
    folder: &JobDir,
    key: &RepoKey,
    (name, git_url): (&str, &str),
    record: &AttemptRecord,
    failed: Box<RepositoryStatus>,
    again: &Retry,
) -> Disposition {
    let next = NextAttempt {
        attempt: record.attempt + 1,
        interruptions: record.interruptions,
        retries: again.number,
        pause: again.pause,
    };
    let written = write_waiting(folder, key.index, name, git_url, next.attempt, Some(again));
    if let Err(error) = written {
        // Whoever reads the failed status reaches the same decision again.
        tracing::warn!(repository = %key, error = chain(&error), "cannot write the status that announces a retry; the retry follows nevertheless");
    }
    Disposition::WillRetry { failed, cause: again.cause, next }
}

/// The next attempt of a repository whose status names the attempt after the last one that began.
pub(super) fn awaited(
    record: &AttemptRecord,
    status: &RepositoryStatus,
    retries: Retries,
) -> NextAttempt {
    let attempt = record.attempt + 1;
    if status.failure.is_none() {
        return NextAttempt::afresh(attempt);
    }
    let number = record.retries + 1;
    let whole = retries.pause(number);
    // A time in the future means that the clock has been set back since.
    let waited = status.last_update.and_then(|since| (Utc::now() - since).to_std().ok());
    let pause = whole.saturating_sub(waited.unwrap_or_default());
    NextAttempt { attempt, interruptions: record.interruptions, retries: number, pause }
}

/// Resets a repository's status: it waits for this attempt.
pub(super) fn write_waiting(
    folder: &JobDir,
    index: u32,
    name: &str,
    git_url: &str,
    attempt: u64,
    because: Option<&Retry>,
) -> Result<(), StoreError> {
    let before = read_status(folder, index)?.and_then(|(_, bytes)| raw_object(&bytes));
    // Kept of the earlier attempt: the revision count, and the stderr that explains its failure.
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
        failure: because.map(|retry| &retry.failure),
    };
    let mut value = patch.apply(kept);
    if let Some(because) = because {
        value["message"] = because.message.as_str().into();
    }
    folder.write_status(index, &value, Durability::Flushed)
}

/// A status without the announcement of a retry that will not take place now.
pub(super) fn without_announcement(mut status: Map<String, Value>) -> Map<String, Value> {
    let waits = status.get("status").is_some_and(|status| status == RepoState::Pending.as_str());
    if waits && status.contains_key("failure") {
        status.remove("message");
    }
    status
}

impl Actor {
    /// An attempt has failed, and a retry follows.
    pub(super) fn will_retry(
        &mut self,
        key: RepoKey,
        shim: Option<&Shim>,
        failed: &RepositoryStatus,
        cause: FailureKind,
        next: NextAttempt,
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

    pub(super) fn note_retry(&self, key: &RepoKey, cause: FailureKind, next: NextAttempt) {
        let pause_secs = next.pause.as_secs();
        tracing::info!(repository = %key, cause = cause.as_str(), retry = next.retries, pause_secs, "scan failed with a transient cause; it is retried after the pause");
        self.handle.scan_metrics().note_retry(cause);
    }

    /// Starts the timer of the pause before this attempt.
    pub(super) fn time_pause(&mut self, key: &RepoKey, next: NextAttempt) {
        let (key, attempt) = (key.clone(), next.attempt);
        self.pauses.spawn(async move {
            sleep(next.pause).await;
            (key, attempt)
        });
    }

    pub(super) fn pause_ended(&mut self, (key, attempt): PauseEnded) {
        // A timer may be left of a repository that was cancelled and then retried on request.
        if self.next_attempt(&key) == attempt {
            self.on(Event::PauseEnded(key));
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
            recovery::find,
            shim_exit::{ProcessTree, ShimExit},
        },
    };

    fn awaited_after(since: Duration, failure: &Value) -> NextAttempt {
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
        assert_eq!(awaited_after(Duration::from_secs(25), &Value::Null), NextAttempt::afresh(5));
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

    /// A repository whose attempt 4, its second retry, ended in this state.
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

    fn found(setup: &Setup, key: &RepoKey, most: u64) -> (&'static str, Option<NextAttempt>) {
        let rules = Retries::new(most, Duration::from_hours(1));
        match find(setup, key, "r", URL, &ShimExit::unknown(ProcessTree::Ended), rules).unwrap() {
            Disposition::Finished(_) => ("finished", None),
            Disposition::WillRetry { next, .. } => ("tried again", Some(next)),
            Disposition::Queued(next) => ("waits", Some(next)),
            Disposition::Running(_) | Disposition::Refused(_) => {
                panic!("nothing runs, nothing is refused")
            }
        }
    }

    #[test]
    fn a_failure_counts_once_however_often_it_is_found() {
        let failure = Failure::new(FailureKind::Exit, "of the test");
        let (_root, setup, key) = ended("failed", &failure);
        assert_eq!(found(&setup, &key, 2), ("finished", None), "both retries are used up");
        let (word, next) = found(&setup, &key, 3);
        let next = next.unwrap();
        assert_eq!(
            (word, next.attempt, next.retries, next.interruptions),
            ("tried again", 5, 3, 1)
        );
        // Each time as if by another server: all state is on the disk.
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
    fn a_requested_retry_counts_from_zero() {
        let failure = Failure::new(FailureKind::Exit, "of the test");
        let (_root, setup, key) = ended("failed", &failure);
        write_waiting(&setup.jobs.job(&key.job), 0, "r", URL, 5, None).unwrap();
        assert_eq!(found(&setup, &key, 3), ("waits", Some(NextAttempt::afresh(5))));
    }
}
