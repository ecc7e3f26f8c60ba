mod exits;
mod retries;

use super::*;
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        master::Master,
        plan::Plan,
        status_file::{is_complete_final_status, raw_object},
    },
    store::{atomic::Durability, layout::JobsDir},
    supervisor::status_files::End,
};

const URL: &str = "https://h.example/r.git";

/// A job with one repository whose attempt is claimed and whose status is `word`.
fn job(attempt: u64, word: &str, of_attempt: u64) -> (tempfile::TempDir, Setup, RepoKey) {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
    let plan = Plan::of([("r".to_owned(), URL.to_owned())]);
    let kind = crate::model::master::ScanType::Repository;
    let master = Master::new(&key.job, URL, Some(kind), vec!["r".to_owned()], Utc::now());
    let folder = jobs.create_job(&key.job, 0o750, &master, &plan).unwrap();
    let record = AttemptRecord {
        schema: 1,
        attempt,
        interruptions: 0,
        retries: 0,
        alone: false,
        started_at: Utc::now(),
        remote: None,
    };
    attempt::write(&folder, 0, &record).unwrap();
    let failure = Failure::new(FailureKind::Exit, "of the test");
    let planned = PlannedRepository { folder: &folder, key: &key, name: "r", git_url: URL };
    let end = End { attempt: of_attempt, begun: None, word, failure: Some(&failure) };
    planned.write_status(&end, None).unwrap();
    (root, Setup::of_test(jobs), key)
}

fn found(setup: &Setup, key: &RepoKey) -> String {
    match find(setup, key, "r", URL, &ShimExit::unknown(ProcessTree::Unknown), Retries::NONE)
        .unwrap()
    {
        Disposition::Finished(status) => format!("finished: {}", status.state),
        Disposition::Running(_) => "running".to_owned(),
        Disposition::Queued(NextAttempt { attempt, interruptions, .. }) => {
            format!("attempt {attempt} after {interruptions} interruptions")
        }
        Disposition::WillRetry { .. } => "tried again".to_owned(),
        Disposition::Refused(reason) => format!("refused: {reason}"),
    }
}

#[test]
fn an_interruption_is_counted_once_however_often_it_is_found() {
    let (_root, setup, key) = job(1, "scanning", 1);
    // Each time as if by another server: all state is on the disk.
    for _ in 0..3 {
        assert_eq!(found(&setup, &key), "attempt 2 after 1 interruptions");
    }
    let (status, _) = read_status(&setup.jobs.job(&key.job), 0).unwrap().unwrap();
    assert_eq!(status.state, RepoState::Pending, "nobody works on it");
    assert_eq!(status.failure.unwrap().kind, FailureKind::Interrupted);
}

#[test]
fn the_final_state_of_an_earlier_attempt_does_not_count() {
    let (_root, setup, key) = job(2, "failed", 1);
    assert_eq!(found(&setup, &key), "attempt 3 after 1 interruptions");
    let (_root, setup, key) = job(2, "failed", 2);
    assert_eq!(found(&setup, &key), "finished: failed");
}

#[test]
fn a_final_state_that_no_shim_checked_is_validated_completed_and_fsynced() {
    let (_root, setup, key) = job(1, "completed", 1);
    let folder = setup.jobs.job(&key.job);
    let bare = serde_json::json!({ "status": "completed", "current_file": 7 });
    folder.write_status(0, &bare, Durability::Eventual).unwrap();
    assert_eq!(found(&setup, &key), "finished: completed");
    let (status, bytes) = read_status(&folder, 0).unwrap().unwrap();
    let all = is_complete_final_status(&raw_object(&bytes).unwrap());
    assert!(all, "{status:?}");
    assert_eq!(raw_object(&bytes).unwrap()["current_file"], 7);

    folder.write_status(0, &bare, Durability::Eventual).unwrap();
    let staging = setup.jobs.staging();
    let (half, whole) = (br#"{"packages": ["#, Durability::Eventual);
    crate::store::atomic::replace(&staging, &folder.result(0), half, whole).unwrap();
    assert_eq!(found(&setup, &key), "finished: failed");
    let (status, _) = read_status(&folder, 0).unwrap().unwrap();
    assert_eq!(status.failure.unwrap().kind, FailureKind::Protocol);
}
