//! Attempts that failed, and the retries that follow.

use super::*;
use crate::model::status_file::StatusPatch;

/// A repository whose attempt 4, its second retry, ended in this state.
fn ended(word: &str, failure: &Failure) -> (tempfile::TempDir, Setup, RepoKey) {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
    let plan = Plan::of([("r".to_owned(), URL.to_owned())]);
    let folder = jobs.create_job(&key.job, 0o750, &Master::default(), &plan).unwrap();
    let started_at = Utc::now();
    let record = AttemptRecord {
        schema: 1,
        attempt: 4,
        interruptions: 1,
        retries: 2,
        alone: false,
        started_at,
        remote: None,
    };
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
    assert_eq!((word, next.attempt, next.retries, next.interruptions), ("tried again", 5, 3, 1));
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
    let folder = &setup.jobs.job(&key.job);
    PlannedRepository { folder, key: &key, name: "r", git_url: URL }
        .write_waiting(5, None)
        .unwrap();
    assert_eq!(found(&setup, &key, 3), ("waits", Some(NextAttempt::afresh(5))));
}
