use super::*;
use crate::{
    model::{master::Master, plan::Plan, retry::Retries},
    store::{
        attempt,
        layout::{JobDir, JobsDir},
        lock,
    },
    supervisor::{
        RepoKey, Setup,
        finals::read_status,
        overdue::Cause,
        recovery::{Found, find},
    },
    sys,
};
use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

#[test]
fn a_shim_that_claimed_nothing_leaves_the_word_to_the_disk() {
    let record = AttemptRecord {
        schema: 1,
        attempt: 2,
        interruptions: 1,
        retries: 0,
        started_at: chrono::Utc::now(),
    };
    let of = |code, ordered| Ended::of(code, ordered, None, Some(record.clone()));
    for code in [75, 76, 77] {
        let ended = of(Some(code), None);
        assert!(ended.known.is_none() && ended.waiting_is_true, "{code}");
    }
    let over = of(Some(0), None);
    assert!(over.known.is_some() && over.waiting_is_true && over.tree == Tree::Ended);
    let dead = of(None, None);
    assert!(dead.known.is_some() && !dead.waiting_is_true && dead.tree == Tree::Unknown);
    assert!(of(None, Some(OrderReason::Stop)).waiting_is_true);
    assert!(!of(None, Some(OrderReason::Cancel)).waiting_is_true);
}

const URL: &str = "https://h.example/r.git";

/// A job with one repository whose attempt 2 was claimed after one death, by the server's knowledge.
fn job() -> (tempfile::TempDir, Setup, RepoKey, AttemptRecord) {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let key = RepoKey { job: "job".parse().unwrap(), index: 0 };
    let plan = Plan::of([("r".to_owned(), URL.to_owned())]);
    jobs.create_job(&key.job, 0o750, &Master::default(), &plan).unwrap();
    let started_at = chrono::Utc::now();
    let record = AttemptRecord { schema: 1, attempt: 2, interruptions: 1, retries: 0, started_at };
    (root, Setup::of_test(jobs), key, record)
}

/// What becomes of the repository, and the deaths that its record counts then.
fn found(setup: &Setup, key: &RepoKey, ended: &Ended) -> (String, u64) {
    let folder = setup.jobs.job(&key.job);
    let found = match find(setup, key, "r", URL, ended, Retries::NONE).unwrap() {
        Found::Over(status) => {
            let kind = status.failure.as_ref().map(|it| it.kind.as_str());
            format!("{} {}", status.state, kind.unwrap_or("without a failure"))
        }
        Found::Queued(next) => format!("attempt {}", next.attempt),
        other => panic!("{other:?}"),
    };
    (found, attempt::read(&folder, 0).unwrap().map_or(0, |it| it.interruptions))
}

/// Breaks if an attempt whose final state the disk refused counts as a death of its shim, which lived.
#[test]
fn what_the_disk_refused_has_the_cause_that_its_shim_names() {
    let failed = Unsettled::Failed;
    for (how, expected) in [
        (failed(FailureKind::Limit), "failed limit"),
        (failed(FailureKind::Timeout), "timeout timeout"),
        (failed(FailureKind::Cancelled), "cancelled cancelled"),
        (Unsettled::Completed, "completed without a failure"),
        (failed(FailureKind::Interrupted), "attempt 3"),
    ] {
        let (_root, setup, key, record) = job();
        attempt::write(&setup.jobs.job(&key.job), 0, &record).unwrap();
        let ended = Ended::of(Some(i32::from(how.code())), None, None, Some(record));
        assert_eq!(found(&setup, &key, &ended), (expected.to_owned(), 1));
    }
    // One that died without a word is counted.
    let (_root, setup, key, record) = job();
    let ended = Ended::of(None, None, None, Some(record));
    assert_eq!(found(&setup, &key, &ended), ("attempt 3".to_owned(), 2));
}

/// A process that has the lock of the repository, and nothing that tells whose it is.
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

/// Breaks if a process that a scanner has left, and that takes the lock between the end of one shim and
/// the start of the next, keeps its repository from ever being scanned; or if one is ended of which it is
/// not known that it was left by a scanner.
#[test]
fn a_stray_that_takes_the_lock_between_two_shims_is_ended() {
    for is_claimed in [true, false] {
        let (_root, setup, key, record) = job();
        let folder = setup.jobs.job(&key.job);
        if is_claimed {
            attempt::write(&folder, 0, &record).unwrap();
        }
        let mut python = holder_of_lock(&folder);
        // The next shim found the lock taken.
        let ended = Ended::of(Some(75), None, None, None);
        let found = find(&setup, &key, "r", URL, &ended, Retries::NONE);
        // Killed first, because the process would outlive a test that fails.
        let process = sys::open_process(python.id()).unwrap();
        let lives = python.try_wait().unwrap().is_none();
        sys::end_process(&process, sys::Ending::Force).unwrap();
        python.wait().unwrap();
        assert_eq!((found.is_ok(), lives), (is_claimed, !is_claimed), "{found:?}");
    }
}

/// Breaks if a shim that SIGKILL does not end, for it hangs in the kernel, keeps its repository from
/// ever having a final state.
#[test]
fn a_shim_that_hangs_in_the_kernel_holds_up_nothing() {
    let (_root, setup, key, record) = job();
    let folder = setup.jobs.job(&key.job);
    let mut python = holder_of_lock(&folder);
    let pid = python.id();
    assert_eq!(lock::holder(&folder.lock(0)).unwrap().map(|it| it.pid), Some(pid));
    let killed = Killed { cause: Cause::Timeout(7), pid, attempt: 2 };
    let ended = Ended::of(None, None, Some(killed), Some(record));
    let outcome = found(&setup, &key, &ended);
    // Killed first, because the process would outlive a test that fails.
    let lives = python.try_wait().unwrap().is_none();
    let process = sys::open_process(pid).unwrap();
    sys::end_process(&process, sys::Ending::Force).unwrap();
    python.wait().unwrap();
    assert_eq!(outcome, ("timeout timeout".to_owned(), 1));
    assert!(lives, "nobody but the test was to end it");
    let (status, _) = read_status(&folder, 0).unwrap().unwrap();
    assert_eq!(status.attempt, Some(2));
}
