mod model;
mod starting;

use super::{
    flusher::Flusher,
    reader::{JobsReader, ResyncKind},
    *,
};
use crate::{
    model::{master::Master, plan::Plan},
    store::{atomic::Durability, layout::JobDir},
};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

fn jobs_folder() -> (tempfile::TempDir, JobsDir) {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    (root, jobs)
}

/// A reader that resyncs only on request.
fn reader(jobs: &JobsDir) -> (Arc<Live>, JobsReader, Receiver<Message>) {
    reader_with(jobs, Duration::from_hours(1), false)
}

/// The same with a resync interval, and with loader threads at the start or without.
fn reader_with(
    jobs: &JobsDir,
    resync_interval: Duration,
    load: bool,
) -> (Arc<Live>, JobsReader, Receiver<Message>) {
    let live = Live::new(1);
    let (reader, messages) = reader_of(&live, jobs, resync_interval, load);
    (live, reader, messages)
}

fn reader_of(
    live: &Arc<Live>,
    jobs: &JobsDir,
    resync_interval: Duration,
    load: bool,
) -> (JobsReader, Receiver<Message>) {
    let (sender, messages) = channel();
    let poll_interval = Duration::from_hours(1);
    let options = WatchOptions { notify: false, poll_interval, resync_interval };
    let mut reader = JobsReader::new(Arc::clone(live), jobs.clone(), options, sender);
    reader.begin_resync(ResyncKind::First { load });
    (reader, messages)
}

/// A finished job with repositories in these states.
fn finished_job(jobs: &JobsDir, id: &str, states: &[&str]) -> (JobId, JobDir) {
    let id: JobId = id.parse().unwrap();
    let end = Master { status: Some("completed".to_owned()), ..Master::default() };
    let folder = jobs.create_job(&id, 0o750, &end, &Plan::of([])).unwrap();
    for (index, state) in (0..).zip(states) {
        write(&folder, index, &json!({ "status": state }));
    }
    (id, folder)
}

/// Receives messages and works until `done` returns true.
#[track_caller]
fn until(
    reader: &mut JobsReader,
    messages: &Receiver<Message>,
    mut done: impl FnMut(&JobsReader) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !done(reader) {
        assert!(Instant::now() < end, "the condition is not reached in time");
        if let Ok(message) = messages.recv_timeout(Duration::from_millis(1)) {
            reader.receive(message);
        }
        reader.run_timers();
        reader.turn();
    }
}

/// Takes turns until there is no work. Returns how many it took.
fn work_off(reader: &mut JobsReader) -> usize {
    let turns = std::iter::from_fn(|| reader.has_work().then(|| reader.turn()));
    turns.count()
}

fn write(folder: &JobDir, index: u32, status: &serde_json::Value) {
    folder.write_status(index, status, Durability::Eventual).unwrap();
}

#[test]
fn after_a_panic_the_work_restarts_and_the_cache_is_kept() {
    let live = Live::new(1);
    let id = "job".parse().unwrap();
    let job = live.insert(&id);
    live.set_ready();
    let mut begun = 0;
    restart_after_panics(&live, Duration::ZERO, || {
        let problems = live.problems(Duration::from_secs(10));
        assert_eq!(problems.len(), usize::from(begun > 0), "{problems:?}");
        assert!(Arc::ptr_eq(&job, &live.get(&id).unwrap()) && live.is_ready());
        begun += 1;
        assert!(begun > 2, "a panic of the test");
        live.note(|health| health.problems.clear());
    });
    assert_eq!((begun, live.health().panics), (3, 2));
    assert!(live.problems(Duration::from_secs(10)).is_empty());
}

/// Fails if a job whose folder was removed while the reader had failed stays in the cache.
#[test]
fn a_restarted_reader_forgets_removed_jobs() {
    let (_root, jobs) = jobs_folder();
    for id in ["gone", "stays"] {
        std::fs::create_dir(jobs.root().join(id)).unwrap();
    }
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    drop(reader);
    std::fs::remove_dir(jobs.root().join("gone")).unwrap();
    let (mut fresh, _messages) = reader_of(&live, &jobs, Duration::from_hours(1), false);
    work_off(&mut fresh);
    let known: Vec<String> = live.all().iter().map(|job| job.id().to_string()).collect();
    assert_eq!(known, ["stays"]);
}

/// Fails if a job of another program is published as finished before the status files that were
/// written before its master file: their events may come later, and the kernel's order of events
/// says nothing about the content that is read.
#[test]
fn another_programs_job_ends_only_after_its_status_files_are_read() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.job(&id);
    std::fs::create_dir(folder.path()).unwrap();
    write(&folder, 0, &json!({ "status": "failed" }));
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    write(&folder, 0, &json!({ "status": "cancelled" }));
    let end = Master { status: Some("completed".to_owned()), ..Master::default() };
    folder.write_master(&end, Durability::Eventual).unwrap();
    let job = live.get(&id).unwrap();
    reader.receive(Message::File(id.clone(), JobFile::Master));
    let mut turns = 0;
    while !job.is_over() {
        assert!(reader.has_work(), "nothing is left to read, and the job has not ended");
        reader.turn();
        turns += 1;
        let state = job.repository(0).unwrap().state.to_string();
        assert!(!job.is_over() || state == "cancelled", "ended after {turns} turns: {state}");
    }
}

/// Fails if a job is published as finished before its repositories: the final state of the job may
/// be seen first, because its writer notifies the watcher.
#[test]
fn the_final_state_of_a_job_follows_those_of_its_repositories() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (_, mut reader, messages) = reader(&jobs);
    work_off(&mut reader);
    for index in 0..3 {
        let end = json!({ "status": "completed" });
        folder.write_status(index, &end, Durability::Eventual).unwrap();
    }
    let end = Master { status: Some("completed".to_owned()), ..Master::default() };
    folder.write_master(&end, Durability::Eventual).unwrap();
    reader.read_one(&id, JobFile::Master);
    work_off(&mut reader);
    let flushed: Vec<JobFile> = std::iter::from_fn(|| messages.recv_timeout(PATIENCE).ok())
        .map(|message| match message {
            Message::Flushed(_, file, _) => file,
            other => panic!("{other:?}"),
        })
        .take(4)
        .collect();
    let repositories = (0..3).map(JobFile::Repository);
    assert_eq!(flushed, repositories.chain([JobFile::Master]).collect::<Vec<_>>());
}

/// Fails if reading a large folder is not interrupted for waiting requests, or if a job counts as
/// read before all of it has been read.
#[test]
fn other_jobs_are_served_while_a_large_folder_is_read() {
    let (_root, jobs) = jobs_folder();
    let [large, small]: [JobId; 2] = ["large", "small"].map(|id| id.parse().unwrap());
    let folder = jobs.create_job(&large, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let count = 3_000;
    for index in 0..count {
        write(&folder, index, &json!({ "status": "scanning" }));
    }
    let (live, mut reader, _messages) = reader(&jobs);
    reader.turn();
    let known = || live.get(&large).map_or(0, |job| job.facts().summary.in_progress);
    assert!(known() < u64::from(count) / 2, "{} in one turn", known());
    assert!(!live.is_ready());

    let (done, mut read) = oneshot::channel();
    let other = jobs.create_job(&small, 0o750, &Master::default(), &Plan::of([])).unwrap();
    write(&other, 0, &json!({ "status": "scanning" }));
    reader.receive(Message::Nudge(small.clone(), done));
    // One turn, or a few if the machine is busy.
    while read.try_recv().is_err() {
        reader.turn();
        assert!(known() < u64::from(count), "a request for the small job waits for the large one");
    }
    assert_eq!(live.get(&small).unwrap().facts().summary.in_progress, 1);
    write(&other, 0, &json!({ "status": "completed" }));
    reader.receive(Message::File(small.clone(), JobFile::Repository(0)));
    reader.turn();
    assert!(known() < u64::from(count), "the large job is still being read");

    // A request for the large job waits for all of it.
    let (done, mut read) = oneshot::channel();
    reader.receive(Message::Nudge(large.clone(), done));
    let turns = work_off(&mut reader);
    assert!(turns > 3, "{turns} turns");
    read.try_recv().unwrap();
    assert_eq!(known(), u64::from(count));
    assert!(live.is_ready());
}

#[tokio::test]
async fn a_nudge_does_not_wait_for_a_reader_that_hangs() {
    let (inbox, _messages) = channel();
    let nudger = Nudger { inbox, limit: Duration::from_millis(20) };
    assert!(!nudger.nudge(&"job".parse().unwrap()).await);
}

/// Fails if the flusher's threads outlive it, or if one file can be queued for them without limit.
#[test]
fn a_file_is_queued_for_fsync_once_and_no_thread_is_left() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (_, mut reader, messages) = reader(&jobs);
    work_off(&mut reader);
    for pid in 0..50 {
        write(
            &folder,
            0,
            &json!({ "status": "completed", "pid": pid, "message": "x".repeat(pid) }),
        );
        reader.read_one(&id, JobFile::Repository(0));
    }
    let mut reports = 0;
    while !reader.is_published(&id) {
        let report = messages.recv_timeout(PATIENCE).unwrap();
        reports += 1;
        reader.receive(report);
        work_off(&mut reader);
    }
    assert!(reports <= 2, "{reports} fsyncs of one file");

    let flusher = Flusher::start(&channel().0);
    let threads = flusher.threads();
    drop(flusher);
    assert_eq!(
        (threads.len(), threads.iter().filter(|thread| thread.strong_count() > 0).count()),
        (4, 0)
    );
}

/// Fails if a file that is rewritten in place, in the same tick of the clock and with the same
/// size, keeps its old content.
#[test]
fn a_file_written_twice_in_one_tick_is_read_twice() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    let state = || live.get(&id).unwrap().repository(0).unwrap().state.to_string();
    write(&folder, 0, &json!({ "status": "scanning" }));
    reader.read_one(&id, JobFile::Repository(0));
    assert_eq!(state(), "scanning");
    // Current kernels would give the second write another time.
    write(&folder, 0, &json!({ "status": "starting" }));
    reader.pretend_to_know(&id, JobFile::Repository(0));
    let end = Instant::now() + PATIENCE;
    while state() != "starting" && Instant::now() < end {
        reader.run_timers();
        work_off(&mut reader);
    }
    assert_eq!(state(), "starting");
    // An old file is not read again.
    thread::sleep(Duration::from_millis(50));
    reader.run_timers();
    work_off(&mut reader);
    assert!(!reader.has_retries());
}

/// Fails if all jobs are queued or listed while others wait, or if a resync does not find a job
/// that was added or removed without an event.
#[test]
fn many_jobs_are_resynced_in_turns() {
    let (_root, jobs) = jobs_folder();
    let make =
        |number: u32| std::fs::create_dir(jobs.root().join(format!("job-{number}"))).unwrap();
    make(0);
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    let many = 2_000;
    (1..many).for_each(make);
    std::fs::remove_dir(jobs.root().join("job-0")).unwrap();
    // First the new jobs, and then the known ones.
    for _ in 0..2 {
        reader.receive(Message::Overflow);
        reader.run_timers();
        (0..2).for_each(|_| reader.turn());
        let first = reader.left_to_resync();
        assert!((1..many as usize / 2).contains(&first), "{first} after two turns");
        work_off(&mut reader);
        assert_eq!(live.len(), many as usize - 1);
        assert!(live.get(&"job-0".parse().unwrap()).is_none());
    }
}
