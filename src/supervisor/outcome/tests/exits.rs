//! Attempts whose shims this server saw exit.

use super::*;
use crate::{
    model::attempt::UnwrittenEnd,
    store::layout::JobDir,
    supervisor::shim_exit::{Cause, Killed},
    sys,
};
use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

/// A job with one repository. The server knows that its attempt 2 was claimed after one
/// interruption.
fn job() -> (tempfile::TempDir, Setup, RepoKey, AttemptRecord) {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
    let plan = Plan::of([("r".to_owned(), URL.to_owned())]);
    jobs.create_job(&key.job, 0o750, &Master::default(), &plan).unwrap();
    let started_at = chrono::Utc::now();
    let record = AttemptRecord {
        schema: 1,
        attempt: 2,
        interruptions: 1,
        retries: 0,
        alone: false,
        started_at,
        remote: None,
    };
    (root, Setup::of_test(jobs), key, record)
}

/// The state of the repository, and the interruptions that its record counts.
fn found(setup: &Setup, key: &RepoKey, ended: &ShimExit) -> (String, u64) {
    let folder = setup.jobs.job(&key.job);
    let found = match find(setup, key, "r", URL, ended, Retries::NONE).unwrap() {
        Disposition::Finished(status) => {
            let kind = status.failure.as_ref().map(|failure| failure.kind.as_str());
            format!("{} {}", status.state, kind.unwrap_or("without a failure"))
        }
        Disposition::Queued(next) => format!("attempt {}", next.attempt),
        other => panic!("{other:?}"),
    };
    (found, attempt::read(&folder, 0).unwrap().map_or(0, |record| record.interruptions))
}

/// Breaks if an attempt whose final state the disk refused counts as an interruption, although its
/// shim lived.
#[test]
fn a_refused_final_state_gets_its_cause_from_the_exit_code() {
    let failed = UnwrittenEnd::Failed;
    for (how, expected) in [
        (failed(FailureKind::Limit), "failed limit"),
        (failed(FailureKind::Timeout), "timeout timeout"),
        (failed(FailureKind::Cancelled), "cancelled cancelled"),
        (UnwrittenEnd::Completed, "completed without a failure"),
        (failed(FailureKind::Interrupted), "attempt 3"),
    ] {
        let (_root, setup, key, record) = job();
        attempt::write(&setup.jobs.job(&key.job), 0, &record).unwrap();
        let ended = ShimExit::of(Some(i32::from(how.code())), None, None, Some(record));
        assert_eq!(found(&setup, &key, &ended), (expected.to_owned(), 1));
    }
    // A shim that died without reporting a cause is counted.
    let (_root, setup, key, record) = job();
    let ended = ShimExit::of(None, None, None, Some(record));
    assert_eq!(found(&setup, &key, &ended), ("attempt 3".to_owned(), 2));
}

/// A process that holds the lock of the repository and cannot be identified.
fn holder_of_lock(folder: &JobDir) -> Child {
    let script = "import fcntl, sys, time\n\
                  file = open(sys.argv[1], 'w')\n\
                  fcntl.lockf(file, fcntl.LOCK_EX)\n\
                  print('held', flush=True)\n\
                  time.sleep(999)";
    #[expect(clippy::disallowed_methods, reason = "a process that holds the lock")]
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(folder.lock(0)).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    python
}

/// Breaks if a stray process that takes the lock between two shims keeps its repository from ever
/// being scanned; or if a process is killed that may not come from a scanner.
#[test]
fn a_stray_process_that_takes_the_lock_between_two_shims_is_killed() {
    for is_claimed in [true, false] {
        let (_root, setup, key, record) = job();
        let folder = setup.jobs.job(&key.job);
        if is_claimed {
            attempt::write(&folder, 0, &record).unwrap();
        }
        let mut python = holder_of_lock(&folder);
        // The next shim found the lock taken.
        let ended = ShimExit::of(Some(75), None, None, None);
        let found = find(&setup, &key, "r", URL, &ended, Retries::NONE);
        // Killed before the assertions, because the process would outlive a failed test.
        let process = sys::open_process(python.id()).unwrap();
        let lives = python.try_wait().unwrap().is_none();
        sys::signal_process(&process, sys::StopSignal::Kill).unwrap();
        python.wait().unwrap();
        assert_eq!((found.is_ok(), lives), (is_claimed, !is_claimed), "{found:?}");
    }
}

/// Breaks if a shim that survives SIGKILL because it hangs in the kernel keeps its repository from
/// ever reaching a final state.
#[test]
fn a_shim_that_hangs_in_the_kernel_does_not_block_its_repository() {
    let (_root, setup, key, record) = job();
    let folder = setup.jobs.job(&key.job);
    let mut python = holder_of_lock(&folder);
    let pid = python.id();
    assert_eq!(lock::holder(&folder.lock(0)).unwrap().map(|holder| holder.pid), Some(pid));
    let killed = Killed { cause: Cause::Timeout(7), pid, attempt: 2 };
    let ended = ShimExit::of(None, None, Some(killed), Some(record));
    let outcome = found(&setup, &key, &ended);
    // Killed before the assertions, because the process would outlive a failed test.
    let lives = python.try_wait().unwrap().is_none();
    let process = sys::open_process(pid).unwrap();
    sys::signal_process(&process, sys::StopSignal::Kill).unwrap();
    python.wait().unwrap();
    assert_eq!(outcome, ("timeout timeout".to_owned(), 1));
    assert!(lives, "only the test may kill it");
    let (status, _) = read_status(&folder, 0).unwrap().unwrap();
    assert_eq!(status.attempt, Some(2));
}
