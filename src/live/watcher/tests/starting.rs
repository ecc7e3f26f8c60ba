//! Jobs that are there at the start, and jobs that rest.

use super::*;
use std::thread;

/// Files that changed so long ago cannot change again with the same time.
const SETTLED: Duration = Duration::from_millis(50);

/// Breaks if what several threads have read at the start is not all that one would have read, or if
/// what may not be read is.
#[test]
fn jobs_that_are_there_at_the_start_are_read_by_several_threads() {
    let (root, jobs) = jobs_folder();
    let ids: Vec<JobId> = (0..40)
        .map(|number| finished_job(&jobs, &format!("job-{number}"), &["completed", "failed"]).0)
        .collect();
    let (broken, folder) = finished_job(&jobs, "broken", &["completed"]);
    std::fs::write(folder.status(1), "{").unwrap();
    let (odd, folder) = finished_job(&jobs, "odd", &["completed"]);
    let mode = rustix::fs::Mode::RUSR;
    let (cwd, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(cwd, folder.status(1), fifo, mode, 0).unwrap();
    std::fs::write(root.path().join("elsewhere.json"), r#"{"status":"failed"}"#).unwrap();
    std::os::unix::fs::symlink(root.path().join("elsewhere.json"), folder.status(2)).unwrap();
    std::fs::write(folder.status(3), vec![b' '; 2 << 20]).unwrap();
    let going: JobId = "going".parse().unwrap();
    let folder = jobs.create_job(&going, 0o750, &Master::default(), &Plan::of([])).unwrap();
    write(&folder, 0, &json!({ "status": "scanning" }));
    std::fs::create_dir(root.path().join("empty")).unwrap();

    thread::sleep(SETTLED);
    let (live, mut reader, messages) = reader_with(&jobs, Duration::from_hours(1), true);
    assert!(!live.is_ready());
    until(&mut reader, &messages, |_| live.is_ready());
    assert_eq!(live.len(), 44);
    for id in &ids {
        let job = live.get(id).unwrap();
        let summary = job.facts().summary;
        assert_eq!((summary.completed, summary.failed), (1, 1), "{id}");
        assert!(job.is_over(), "{id} is told at once");
    }
    for (id, completed) in [(&broken, 1), (&odd, 1)] {
        let summary = live.get(id).unwrap().facts().summary;
        assert_eq!((summary.completed, summary.failed), (completed, 0), "{id}");
    }
    assert_eq!(live.get(&going).unwrap().facts().summary.in_progress, 1);
    assert!(live.get(&"empty".parse().unwrap()).is_some());
    // What makes no sense is read again, and counts as broken in the end.
    until(&mut reader, &messages, |_| {
        live.get(&broken).unwrap().facts().summary.total_repositories == 2
    });
    // Nothing is compared before the hour is over: only its watch tells of this change.
    write(&folder, 0, &json!({ "status": "completed" }));
    until(&mut reader, &messages, |_| live.get(&going).unwrap().facts().summary.completed == 1);
}

/// Breaks if jobs that have been finished for long are watched, or lose a change after the start.
#[test]
fn old_finished_jobs_rest_from_the_start() {
    let (_root, jobs) = jobs_folder();
    let interval = Duration::from_millis(100);
    let (id, folder) = finished_job(&jobs, "job", &["completed", "failed"]);
    thread::sleep(interval + SETTLED);
    let (live, mut reader, messages) = reader_with(&jobs, interval, true);
    until(&mut reader, &messages, |_| live.is_ready());
    assert!(reader.rests(&id));
    let summary = || live.get(&id).unwrap().facts().summary;
    assert!(live.get(&id).unwrap().is_over());
    assert_eq!((summary().completed, summary().failed), (1, 1));
    write(&folder, 0, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| summary().failed == 2);
}

/// Breaks if what was read at the start takes the place of what has been read since.
#[test]
fn a_job_that_was_read_meanwhile_is_not_taken_in_again() {
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
    reader.hear(Message::Job(id.clone()));
    crate::store::trash::remove_job(&jobs, &gone).unwrap();
    reader.hear(Message::Job(gone.clone()));
    work_off(&mut reader);
    assert!(live.is_ready());
    held.into_iter().for_each(|it| reader.hear(it));
    work_off(&mut reader);
    assert_eq!(live.get(&id).unwrap().facts().summary.failed, 1);
    assert!(live.get(&gone).is_none());
}

/// Breaks if readiness is said while a job that the threads could not read has not been read.
#[test]
fn what_the_threads_leave_is_read_before_all_is_said_to_be() {
    let (_root, jobs) = jobs_folder();
    let (id, _) = finished_job(&jobs, "job", &["completed"]);
    let (live, mut reader, messages) = reader_with(&jobs, Duration::from_hours(1), true);
    work_off(&mut reader);
    // As if the thread had failed: it ends, and nothing has come of it.
    let ended = |it: &Message| matches!(it, Message::LoaderEnded);
    let ends = std::iter::from_fn(|| messages.recv_timeout(PATIENCE).ok()).find(ended);
    assert!(!live.is_ready());
    reader.hear(ends.unwrap());
    work_off(&mut reader);
    assert!(live.is_ready());
    assert_eq!(live.get(&id).unwrap().facts().summary.completed, 1);
}

/// Breaks if a finished job that nobody watches keeps its old content, whether a file was replaced,
/// changed in its place, or taken away; or if one comes to rest that may still change.
#[test]
fn a_finished_job_rests_and_wakes_when_anything_of_it_changes() {
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
    until(&mut reader, &messages, |it| it.rests(&id));
    assert!(!reader.rests(&going) && counts() == (2, 0));

    write(&folder, 0, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| counts() == (1, 1));
    until(&mut reader, &messages, |it| it.rests(&id));
    std::fs::write(folder.status(1), r#"{"status":"failed"}"#).unwrap();
    until(&mut reader, &messages, |_| counts() == (0, 2));
    until(&mut reader, &messages, |it| it.rests(&id));
    std::fs::remove_file(folder.status(1)).unwrap();
    until(&mut reader, &messages, |_| counts() == (0, 1));
    until(&mut reader, &messages, |it| it.rests(&id));
    // Only the folder tells of a file that is new.
    write(&folder, 2, &json!({ "status": "failed" }));
    until(&mut reader, &messages, |_| counts() == (0, 2));
    until(&mut reader, &messages, |it| it.rests(&id));
    crate::store::trash::remove_job(&jobs, &id).unwrap();
    until(&mut reader, &messages, |it| !it.rests(&id) && live.get(&id).is_none());
}
