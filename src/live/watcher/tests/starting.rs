//! Jobs that exist at the start, and idle jobs.

use super::*;
use std::{fs::File, io::Write, path::Path, thread};

/// Files that changed so long ago cannot change again with the same change time.
const SETTLED: Duration = Duration::from_millis(50);

fn write_in_place(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

/// Fails if several threads read less at the start than one would, or something that must not be
/// read.
#[test]
fn existing_jobs_are_read_by_several_threads_at_the_start() {
    let (root, jobs) = jobs_folder();
    let ids: Vec<JobId> = (0..40)
        .map(|number| finished_job(&jobs, &format!("job-{number}"), &["completed", "failed"]).0)
        .collect();
    let (broken, folder) = finished_job(&jobs, "broken", &["completed"]);
    write_in_place(&folder.status(1), b"{");
    let (odd, folder) = finished_job(&jobs, "odd", &["completed"]);
    let mode = rustix::fs::Mode::RUSR;
    let (cwd, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(cwd, folder.status(1), fifo, mode, 0).unwrap();
    write_in_place(&root.path().join("elsewhere.json"), br#"{"status":"failed"}"#);
    std::os::unix::fs::symlink(root.path().join("elsewhere.json"), folder.status(2)).unwrap();
    write_in_place(&folder.status(3), &vec![b' '; 2 << 20]);
    let going: JobId = "going".parse().unwrap();
    let folder = jobs.create_job(&going, 0o750, &Master::default(), &Plan::of([])).unwrap();
    write(&folder, 0, &json!({ "status": "scanning" }));
    std::fs::create_dir(root.path().join("empty")).unwrap();

    thread::sleep(SETTLED);
    let (live, mut reader, messages) = notified_reader(&jobs);
    assert!(!live.is_ready());
    until(&mut reader, &messages, |_| live.is_ready());
    assert_eq!(live.len(), 44);
    for id in &ids {
        let job = live.get(id).unwrap();
        let summary = job.facts().summary;
        assert_eq!((summary.completed, summary.failed), (1, 1), "{id}");
        assert!(job.is_over(), "{id} is published at once");
    }
    for (id, completed) in [(&broken, 1), (&odd, 1)] {
        let summary = live.get(id).unwrap().facts().summary;
        assert_eq!((summary.completed, summary.failed), (completed, 0), "{id}");
    }
    assert_eq!(live.get(&going).unwrap().facts().summary.in_progress, 1);
    assert!(live.get(&"empty".parse().unwrap()).is_some());
    // A file that cannot be parsed is read again, and counts as broken in the end.
    until(&mut reader, &messages, |_| {
        live.get(&broken).unwrap().facts().summary.total_repositories == 2
    });
    // The next resync is in an hour: only the watch reports this change.
    write(&folder, 0, &json!({ "status": "completed" }));
    until(&mut reader, &messages, |_| live.get(&going).unwrap().facts().summary.completed == 1);
}

/// Fails if jobs that have been finished for long are watched, or if a change after the start is
/// lost.
#[test]
fn old_finished_jobs_are_idle_from_the_start() {
    let (_root, jobs) = jobs_folder();
    let interval = Duration::from_millis(100);
    let (id, folder) = finished_job(&jobs, "job", &["completed", "failed"]);
    thread::sleep(interval + SETTLED);
    let (live, mut reader, messages) = reader_with(&jobs, interval, true);
    until(&mut reader, &messages, |_| live.is_ready());
    assert!(reader.is_idle(&id));
    let summary = || live.get(&id).unwrap().facts().summary;
    assert!(live.get(&id).unwrap().is_over());
    assert_eq!((summary().completed, summary().failed), (1, 1));
    write(&folder, 0, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| summary().failed == 2);
}

/// A reader with inotify that resyncs only at the start.
fn notified_reader(jobs: &JobsDir) -> (Arc<Live>, JobsReader, Receiver<Message>) {
    let (live, hour) = (Live::new(1), Duration::from_hours(1));
    let (sender, messages) = channel();
    let options = WatchOptions { notify: true, poll_interval: hour, resync_interval: hour };
    let mut reader = JobsReader::new(Arc::clone(&live), jobs.clone(), options, sender);
    reader.begin_resync(ResyncKind::First { load: true });
    (live, reader, messages)
}

/// Fails if a finished job that changed shortly before the start is packed or idle for ever, or if a
/// change of it is lost: one after it was read and before it is watched, or a later one.
#[test]
fn jobs_that_were_just_finished_are_compared_and_watched_after_the_start() {
    let (_root, jobs) = jobs_folder();
    let (in_place, folder) = finished_job(&jobs, "in-place", &["completed", "completed"]);
    let (added, other) = finished_job(&jobs, "added", &["completed"]);
    let (gone, _) = finished_job(&jobs, "gone", &["completed"]);
    thread::sleep(SETTLED);
    let (live, mut reader, messages) = notified_reader(&jobs);
    work_off(&mut reader);
    let mut held = Vec::new();
    let loaded = |message: &Message| match message {
        Message::Loaded(jobs) => jobs.len(),
        _ => 0,
    };
    while held.iter().map(loaded).sum::<usize>() < 3 {
        held.push(messages.recv_timeout(PATIENCE).unwrap());
    }
    write_in_place(&folder.status(1), br#"{"status":"failed"}"#);
    write(&other, 1, &json!({ "status": "failed" }));
    for message in held {
        reader.receive(message);
    }
    let failed = |id: &JobId| live.get(id).unwrap().facts().summary.failed;
    until(&mut reader, &messages, |_| live.is_ready());
    crate::store::trash::remove_job(&jobs, &gone).unwrap();
    until(&mut reader, &messages, |_| failed(&in_place) == 1 && failed(&added) == 1);
    until(&mut reader, &messages, |reader| !reader.has_work());
    assert!(!reader.is_idle(&in_place) && !reader.is_idle(&added));
    // Only the watches report these changes, and the removal.
    write_in_place(&folder.status(0), br#"{"status":"failed"}"#);
    write(&other, 0, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| failed(&in_place) == 2 && failed(&added) == 2);
    until(&mut reader, &messages, |_| live.get(&gone).is_none());
}

/// Fails if the final state of a job is published although a repository of it may still get one.
#[test]
fn a_job_that_was_just_finished_without_all_repositories_is_not_over() {
    let (_root, jobs) = jobs_folder();
    let id: JobId = "job".parse().unwrap();
    let status = Some("completed".to_owned());
    let end = Master { status, total_repositories: Some(2), ..Master::default() };
    let folder = jobs.create_job(&id, 0o750, &end, &Plan::of([])).unwrap();
    write(&folder, 0, &json!({ "status": "completed" }));
    thread::sleep(SETTLED);
    let (live, mut reader, messages) = notified_reader(&jobs);
    until(&mut reader, &messages, |_| live.is_ready());
    assert!(!live.get(&id).unwrap().is_over());
    write(&folder, 1, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| live.get(&id).unwrap().is_over());
    assert_eq!(live.get(&id).unwrap().facts().summary.failed, 1);
}

/// Fails if content that was read at the start replaces newer content.
#[test]
fn a_job_that_was_read_meanwhile_is_not_added_again() {
    let (_root, jobs) = jobs_folder();
    let (id, folder) = finished_job(&jobs, "job", &["completed"]);
    let (gone, _) = finished_job(&jobs, "gone", &["completed"]);
    thread::sleep(SETTLED);
    let (live, mut reader, messages) = reader_with(&jobs, Duration::from_hours(1), true);
    work_off(&mut reader);
    let mut held = Vec::new();
    let loaded = |message: &Message| match message {
        Message::Loaded(jobs) => jobs.len(),
        _ => 0,
    };
    while held.iter().map(loaded).sum::<usize>() < 2 {
        held.push(messages.recv_timeout(PATIENCE).unwrap());
    }
    write(&folder, 0, &json!({ "status": "failed" }));
    reader.receive(Message::Job(id.clone()));
    crate::store::trash::remove_job(&jobs, &gone).unwrap();
    reader.receive(Message::Job(gone.clone()));
    work_off(&mut reader);
    assert!(live.is_ready());
    for message in held {
        reader.receive(message);
    }
    work_off(&mut reader);
    assert_eq!(live.get(&id).unwrap().facts().summary.failed, 1);
    assert!(live.get(&gone).is_none());
}

/// Fails if the server reports ready while a job that the loaders could not read has not been read.
#[test]
fn jobs_that_the_loaders_leave_are_read_before_the_server_is_ready() {
    let (_root, jobs) = jobs_folder();
    let (id, _) = finished_job(&jobs, "job", &["completed"]);
    let (live, mut reader, messages) = reader_with(&jobs, Duration::from_hours(1), true);
    work_off(&mut reader);
    // As if the thread had failed: it ends without a result.
    let ended = |message: &Message| matches!(message, Message::LoaderEnded);
    let ends = std::iter::from_fn(|| messages.recv_timeout(PATIENCE).ok()).find(ended);
    assert!(!live.is_ready());
    reader.receive(ends.unwrap());
    work_off(&mut reader);
    assert!(live.is_ready());
    assert_eq!(live.get(&id).unwrap().facts().summary.completed, 1);
}

/// Fails if an idle job keeps its old content after a file was replaced, changed in place or
/// removed, or if a job that may still change becomes idle.
#[test]
fn a_finished_job_becomes_idle_and_is_read_again_after_any_change() {
    let (_root, jobs) = jobs_folder();
    let interval = Duration::from_millis(100);
    let (id, folder) = finished_job(&jobs, "job", &["completed", "completed"]);
    let going: JobId = "going".parse().unwrap();
    jobs.create_job(&going, 0o750, &Master::default(), &Plan::of([])).unwrap();
    let (live, mut reader, messages) = reader_with(&jobs, interval, true);
    let counts = || {
        let summary = live.get(&id).unwrap().facts().summary;
        (summary.completed, summary.failed)
    };
    until(&mut reader, &messages, |reader| reader.is_idle(&id));
    assert!(!reader.is_idle(&going) && counts() == (2, 0));

    write(&folder, 0, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| counts() == (1, 1));
    until(&mut reader, &messages, |reader| reader.is_idle(&id));
    write_in_place(&folder.status(1), br#"{"status":"failed"}"#);
    until(&mut reader, &messages, |_| counts() == (0, 2));
    until(&mut reader, &messages, |reader| reader.is_idle(&id));
    std::fs::remove_file(folder.status(1)).unwrap();
    until(&mut reader, &messages, |_| counts() == (0, 1));
    until(&mut reader, &messages, |reader| reader.is_idle(&id));
    // Only the folder's signature shows a new file.
    write(&folder, 2, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| counts() == (0, 2));
    until(&mut reader, &messages, |reader| reader.is_idle(&id));
    crate::store::trash::remove_job(&jobs, &id).unwrap();
    until(&mut reader, &messages, |reader| !reader.is_idle(&id) && live.get(&id).is_none());
}
