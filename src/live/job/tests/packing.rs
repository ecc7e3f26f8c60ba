//! Packed jobs: nothing that a reader sees changes, and little memory is used.

use super::*;
use crate::store::packed_jobs::PackedJobs;

/// Everything that a reader can compare: id and bytes of both documents, all messages, facts, and
/// rows.
fn all_visible(job: &LiveJob) -> (String, Vec<String>, String) {
    let bodies: Vec<_> = [Lists::Whole, Lists::Omitted]
        .map(|lists| {
            let body = job.body(lists);
            let text = body.reader().gather().unwrap();
            format!("{} {}", body.id(), String::from_utf8(text.to_vec()).unwrap())
        })
        .into();
    let messages = job.messages_after(0).messages.into_iter();
    let messages =
        messages.map(|message| String::from_utf8(message.into_text().gather().unwrap()).unwrap());
    let facts = (job.facts(), job.error_message(), job.repositories(), job.newest_time());
    (format!("{facts:?} {:?}", job.first()), messages.collect(), bodies.join("\n"))
}

fn finished_job(repositories: u32) -> LiveJob {
    let job = job();
    let text = json!({
        "group_url": "https://git.example.com/g", "scan_type": "group", "status": "all_failed",
        "total_repositories": repositories, "completed_at": "2024-01-02T00:00:00Z",
    });
    job.apply_master(master(&text), vec!["a warning".to_owned()]);
    for index in (0..repositories).rev() {
        job.apply_repository(repository(index, "failed"), vec![format!("warning {index}")]);
    }
    job.apply_problem(JobFile::Repository(repositories), "not JSON".to_owned());
    job.finalize(false);
    job
}

/// Fails if a reader can notice that a job has been packed, by an entity tag, an event id, an order
/// or a byte.
#[test]
fn packing_a_job_changes_nothing_that_a_reader_sees() {
    let job = finished_job(9);
    let before = all_visible(&job);
    let seen = job.event_id();
    let pack = || {
        job.pack_if_idle();
        assert!(!job.lock().is_packed(), "it was requested just now");
        job.pack_if_idle();
        assert!(job.lock().is_packed() && job.bodies().is_none());
    };
    pack();
    assert!(job.is_over() && !job.is_removed());
    assert_eq!(job.facts().summary.failed, 9);
    assert_eq!(job.error_message().as_deref(), Some("Unknown error"));
    job.finalize(false);
    assert!(job.lock().is_packed(), "lists need only its row");
    assert_eq!(all_visible(&job), before);
    pack();
    let job = Arc::new(job);
    let follower = Arc::clone(&job).follow(Some(seen), std::future::pending(), ());
    assert!(follower.is_over(), "the reader has seen the final state");
    // Later changes are published as before.
    job.pack_if_idle();
    job.apply_repository(repository(3, "completed"), Vec::new());
    let batch = job.messages_after(seen.version);
    assert_eq!(events(batch), ["repository completed", "job all_failed", "end all_failed"]);
    assert_eq!(both_forms(&job, Lists::Whole).0, both_forms(&job, Lists::Whole).1);
}

/// Fails if a copy of a job differs from the job, or has versions that were used before.
#[test]
fn a_copy_of_a_packed_job_is_the_same_job_with_new_versions() {
    let job = finished_job(9);
    job.pack_unless_followed();
    let copy = job.packed_copy().unwrap();
    let seen = job.event_id();
    assert!(job.packed_copy().is_none(), "it is open");
    let index = Arc::clone(&job.job_index);
    let copied = LiveJob::of_packed_copy(job.id().clone(), index, &copy).unwrap();
    assert!(copied.lock().is_packed() && copied.is_over());
    let text = |job: &LiveJob| {
        let text = job.body(Lists::Whole).reader().gather().unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["version"].take(), job.event_id().version);
        document
    };
    assert_eq!(text(&copied), text(&job));
    let facts = |job: &LiveJob| (job.facts(), job.error_message(), job.repositories());
    assert_eq!(facts(&copied), facts(&job));
    assert!(copied.first() > seen.version && copied.event_id().version > copied.first());
    let length = |job: &LiveJob| job.event_id().version - job.first();
    assert_eq!(length(&copied), length(&job));
    let index = Arc::clone(&job.job_index);
    assert!(LiveJob::of_packed_copy(job.id().clone(), index, &copy[..3]).is_none());
}

#[test]
fn a_quiet_job_is_packed_at_once_unless_a_reader_uses_it() {
    let job = finished_job(3);
    let waiting = job.changes();
    job.finalize(true);
    assert!(!job.lock().is_packed(), "a reader waits for changes");
    drop(waiting);
    let body = job.body(Lists::Whole);
    job.finalize(true);
    assert!(!job.lock().is_packed(), "its document was just requested");
    drop(body);
    job.bodies().take();
    job.finalize(true);
    assert!(job.lock().is_packed());
}

/// Fails if the finished jobs of a large folder are all open after a start.
#[test]
fn a_finished_job_is_packed_as_soon_as_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
    jobs.create(0o750).unwrap();
    let folder = jobs.root().join("job");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [
        ("master.json", r#"{"status":"completed","total_repositories":1}"#),
        ("repo_0.json", r#"{"status":"completed","repo_name":"r"}"#),
    ] {
        let mut file = std::fs::File::create(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    let (poll_interval, resync_interval) = (Duration::from_secs(10), Duration::from_millis(500));
    // The change time (ctime) of a file cannot be set.
    std::thread::sleep(resync_interval);
    let options = WatchOptions { notify: false, poll_interval, resync_interval };
    let (live, _watcher) = Watcher::start(jobs, PackedJobs::default(), options).unwrap();
    while !live.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let job = live.get(&"job".parse().unwrap()).unwrap();
    assert!(job.lock().is_packed());
    assert_eq!((job.is_over(), job.repositories().len()), (true, 1));
    assert!(!job.lock().is_packed());
}

/// Fails if a client that walks through all jobs has all of them open, with all documents.
#[test]
fn few_packed_jobs_are_open_at_once() {
    let live = crate::live::Live::new(7);
    let ids: Vec<JobId> =
        (0..2 * MAX_REOPENED).map(|number| format!("job-{number}").parse().unwrap()).collect();
    for id in &ids {
        let job = live.insert(id);
        job.apply_repository(repository(0, "completed"), Vec::new());
        job.finalize(true);
        assert!(job.lock().is_packed());
    }
    let first = live.get(&ids[0]).unwrap();
    let _follows = first.changes();
    for id in &ids {
        for _ in 0..2 {
            assert!(live.get(id).unwrap().body(Lists::Whole).reader().length() > 0);
        }
    }
    let open = |id: &&JobId| !live.insert(id).lock().is_packed();
    let all: Vec<_> = ids.iter().filter(open).collect();
    assert_eq!(all.len(), MAX_REOPENED + 1);
    assert_eq!(all[0], &ids[0], "it has a reader");
}

/// Fails if packing locks a large job for long, or if such a job keeps its documents.
#[test]
fn an_idle_large_job_keeps_only_its_rows() {
    let job = finished_job(1_500);
    let before = all_visible(&job);
    let ledger = job.job_index.ledger();
    let reader = job.body(Lists::Whole).reader();
    job.pack_if_idle();
    job.pack_if_idle();
    assert!(!job.lock().is_packed() && job.bodies().is_none());
    assert!(ledger.superseded() > reader.length() / 2, "only the reader keeps the document");
    drop(reader);
    assert_eq!(ledger.superseded(), 0);
    assert_eq!(all_visible(&job), before);
}
