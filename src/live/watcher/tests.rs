mod model;
mod starting;

use super::{
    flusher::Flusher,
    reader::{Reader, Sweeping},
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

/// A reader that compares with the disk only when the test asks for it.
fn reader(jobs: &JobsDir) -> (Arc<Live>, Reader, Receiver<Message>) {
    reader_with(jobs, Duration::from_hours(1), false)
}

/// One for which a file is old after such a time, with other threads at the start or without.
fn reader_with(
    jobs: &JobsDir,
    resync_interval: Duration,
    load: bool,
) -> (Arc<Live>, Reader, Receiver<Message>) {
    let live = Live::new(1);
    let (reader, messages) = reader_of(&live, jobs, resync_interval, load);
    (live, reader, messages)
}

fn reader_of(
    live: &Arc<Live>,
    jobs: &JobsDir,
    resync_interval: Duration,
    load: bool,
) -> (Reader, Receiver<Message>) {
    let (sender, messages) = channel();
    let poll_interval = Duration::from_hours(1);
    let options = WatchOptions { notify: false, poll_interval, resync_interval };
    let mut reader = Reader::new(Arc::clone(live), jobs.clone(), options, sender);
    reader.begin_sweep(Sweeping::First { load });
    (reader, messages)
}

/// A finished job of repositories with such states.
fn finished_job(jobs: &JobsDir, id: &str, states: &[&str]) -> (JobId, JobDir) {
    let id: JobId = id.parse().unwrap();
    let end = Master { status: Some("completed".to_owned()), ..Master::default() };
    let folder = jobs.create_job(&id, 0o750, &end, &Plan::of([])).unwrap();
    for (index, state) in (0..).zip(states) {
        write(&folder, index, &json!({ "status": state }));
    }
    (id, folder)
}

/// Takes in what comes and works it off, until that.
#[track_caller]
fn until(reader: &mut Reader, messages: &Receiver<Message>, mut done: impl FnMut(&Reader) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done(reader) {
        assert!(Instant::now() < end, "it does not come about");
        if let Ok(message) = messages.recv_timeout(Duration::from_millis(1)) {
            reader.hear(message);
        }
        reader.look_at_the_clock();
        reader.turn();
    }
}

/// Takes turns until nothing is left; how many it took.
fn work_off(reader: &mut Reader) -> usize {
    let turns = std::iter::from_fn(|| reader.has_work().then(|| reader.turn()));
    turns.count()
}

fn write(folder: &JobDir, index: u32, status: &serde_json::Value) {
    folder.write_status(index, status, Durability::Eventual).unwrap();
}

#[test]
fn after_a_panic_the_work_begins_again_and_the_cache_is_kept() {
    let live = Live::new(1);
    let id = "job".parse().unwrap();
    let job = live.insert(&id);
    live.set_ready();
    let mut begun = 0;
    outlive_panics(&live, Duration::ZERO, || {
        let problems = live.problems(Duration::from_secs(10));
        assert_eq!(problems.len(), usize::from(begun > 0), "{problems:?}");
        assert!(Arc::ptr_eq(&job, &live.get(&id).unwrap()) && live.is_ready());
        begun += 1;
        assert!(begun > 2, "of the test");
        live.note(|health| health.problems.clear());
    });
    assert_eq!((begun, live.health().panics), (3, 2));
    assert!(live.problems(Duration::from_secs(10)).is_empty());
}

/// Breaks if a job whose folder went while the reader had failed is served for ever.
#[test]
fn a_fresh_start_forgets_what_is_gone() {
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
    let known: Vec<String> = live.all().iter().map(|it| it.id().to_string()).collect();
    assert_eq!(known, ["stays"]);
}

/// Breaks if a job is told to be over before what its repositories say is: the end of the job may be
/// seen first, for whoever wrote it says so himself.
#[test]
fn the_end_of_a_job_follows_the_ends_of_its_repositories() {
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

/// Breaks if the reading of a large folder is not interrupted for what others wait for, or if a job is
/// taken for read before all of it is.
#[test]
fn while_a_large_folder_is_read_others_are_served() {
    let (_root, jobs) = jobs_folder();
    let [large, small]: [JobId; 2] = ["large", "small"].map(|it| it.parse().unwrap());
    let folder = jobs.create_job(&large, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let count = 3_000;
    for index in 0..count {
        write(&folder, index, &json!({ "status": "scanning" }));
    }
    let (live, mut reader, _messages) = reader(&jobs);
    reader.turn();
    let known = || live.get(&large).map_or(0, |it| it.facts().summary.in_progress);
    assert!(known() < u64::from(count) / 2, "{} at once", known());
    assert!(!live.is_ready());

    let (done, mut read) = oneshot::channel();
    let other = jobs.create_job(&small, 0o750, &Master::default(), &Plan::of([])).unwrap();
    write(&other, 0, &json!({ "status": "scanning" }));
    reader.hear(Message::Nudge(small.clone(), done));
    // One turn, or a few where this machine is busy.
    while read.try_recv().is_err() {
        reader.turn();
        assert!(known() < u64::from(count), "who has written waits for the large one");
    }
    assert_eq!(live.get(&small).unwrap().facts().summary.in_progress, 1);
    write(&other, 0, &json!({ "status": "completed" }));
    reader.hear(Message::File(small.clone(), JobFile::Repository(0)));
    reader.turn();
    assert!(known() < u64::from(count), "the large one is still being read");

    // Who waits for the large one itself waits for all of it.
    let (done, mut read) = oneshot::channel();
    reader.hear(Message::Nudge(large.clone(), done));
    let turns = work_off(&mut reader);
    assert!(turns > 3, "{turns} turns");
    read.try_recv().unwrap();
    assert_eq!(known(), u64::from(count));
    assert!(live.is_ready());
}

#[tokio::test]
async fn nobody_waits_for_a_reader_that_hangs() {
    let (inbox, _messages) = channel();
    let nudger = Nudger { inbox, patience: Duration::from_millis(20) };
    assert!(!nudger.nudge(&"job".parse().unwrap()).await);
}

/// Breaks if the threads that flush outlive their owner, or if one file can be queued for them
/// without end.
#[test]
fn a_file_waits_for_the_disk_once_and_no_thread_is_left() {
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
    let mut words = 0;
    while !reader.is_told(&id) {
        let word = messages.recv_timeout(PATIENCE).unwrap();
        words += 1;
        reader.hear(word);
        work_off(&mut reader);
    }
    assert!(words <= 2, "{words} flushes of one file");

    let flusher = Flusher::start(&channel().0);
    let threads = flusher.threads();
    drop(flusher);
    assert_eq!((threads.len(), threads.iter().filter(|it| it.strong_count() > 0).count()), (4, 0));
}

/// Breaks if a file that is written anew in place, in the same tick of the clock and with the same
/// size, keeps its old content for ever.
#[test]
fn what_is_written_twice_in_one_tick_is_read_twice() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    let word = || live.get(&id).unwrap().repository(0).unwrap().state.to_string();
    write(&folder, 0, &json!({ "status": "scanning" }));
    reader.read_one(&id, JobFile::Repository(0));
    assert_eq!(word(), "scanning");
    // The kernels of today would tell the two apart.
    write(&folder, 0, &json!({ "status": "starting" }));
    reader.pretend_to_know(&id, JobFile::Repository(0));
    let end = Instant::now() + PATIENCE;
    while word() != "starting" && Instant::now() < end {
        reader.look_at_the_clock();
        work_off(&mut reader);
    }
    assert_eq!(word(), "starting");
    // What is old is read no more.
    thread::sleep(Duration::from_millis(50));
    reader.look_at_the_clock();
    work_off(&mut reader);
    assert!(!reader.has_retries());
}

/// Breaks if all jobs are gathered or listed while others wait, or if a job that comes or goes without a
/// notification is not found by comparing.
#[test]
fn many_jobs_are_compared_in_turns() {
    let (_root, jobs) = jobs_folder();
    let make =
        |number: u32| std::fs::create_dir(jobs.root().join(format!("job-{number}"))).unwrap();
    make(0);
    let (live, mut reader, _messages) = reader(&jobs);
    work_off(&mut reader);
    let many = 2_000;
    (1..many).for_each(make);
    std::fs::remove_dir(jobs.root().join("job-0")).unwrap();
    // Those that are new, and then those that are known.
    for _ in 0..2 {
        reader.hear(Message::Overflow);
        reader.look_at_the_clock();
        (0..2).for_each(|_| reader.turn());
        let first = reader.uncompared();
        assert!((1..many as usize / 2).contains(&first), "{first} after two turns");
        work_off(&mut reader);
        assert_eq!(live.len(), many as usize - 1);
        assert!(live.get(&"job-0".parse().unwrap()).is_none());
    }
}
