use super::{reader::Reader, *};
use crate::{
    model::{master::Master, plan::Plan},
    store::atomic::Durability,
};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

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

/// Breaks if a job is told to be over before what its repositories say is: the end of the job may be
/// seen first, for whoever wrote it says so himself.
#[test]
fn the_end_of_a_job_follows_the_ends_of_its_repositories() {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let id: JobId = "job".parse().unwrap();
    let folder = jobs.create_job(&id, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (sender, messages) = channel();
    let options = WatchOptions {
        notify: false,
        poll_interval: Duration::from_hours(1),
        resync_interval: Duration::from_hours(1),
    };
    let mut reader = Reader::new(Live::new(1), jobs, options, sender);
    reader.begin();
    for index in 0..3 {
        let end = json!({ "status": "completed" });
        folder.write_status(index, &end, Durability::Eventual).unwrap();
    }
    let end = Master { status: Some("completed".to_owned()), ..Master::default() };
    folder.write_master(&end, Durability::Eventual).unwrap();
    reader.read_one(&id, JobFile::Master);
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
