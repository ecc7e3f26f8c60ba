//! Events of a running job while a clean-up removes many finished ones.

use crate::{
    Outcome,
    support::{Folder, Server, Times, status, status_file, until},
};
use chrono::{TimeDelta, Utc};
use notify::{RecursiveMode, Watcher as _};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

const RETIRED: u64 = 1_000;
const KEPT: u64 = 19_000;
const REPOSITORIES: u32 = 8;
/// Seconds from the creation of the jobs until they are old enough.
const EXPIRE_SECS: i64 = 30;
/// The interval of the clean-ups: the first one, at the start, finds nothing to remove.
const CLEAN_UP_SECS: u32 = 40;
/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two events.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn retire() -> Outcome<()> {
    let folder = Folder::new()?;
    for number in 0..KEPT {
        lay_finished(&folder, &format!("kept-{number}"), TimeDelta::zero(), false)?;
    }
    let age = TimeDelta::hours(1) - TimeDelta::seconds(EXPIRE_SECS);
    for number in 0..RETIRED {
        lay_finished(&folder, &format!("retired-{number}"), age, true)?;
    }
    let job = folder.lay("running", 1, 0)?;
    let clean_up = format!("jobs.cleanup_interval_secs={CLEAN_UP_SECS}");
    let server = Server::start(&folder, &["jobs.retention_hours=1", &clean_up])?;
    until("finished jobs are not watched any more", || {
        server.watches().is_ok_and(|watches| watches == 2)
    })?;

    let stream = server.stream("running")?;
    let (sender, renamed) = mpsc::channel();
    let mut bare = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.kind.is_modify()) {
            let _ = sender.send(Instant::now());
        }
    })?;
    bare.watch(&job, RecursiveMode::NonRecursive)?;

    let known = AtomicU64::new(u64::MAX);
    let [mut before, mut during] = [(); 2].map(|()| (Times::default(), Times::default()));
    let mut first_gone = None;
    thread::scope(|scope| -> Outcome<()> {
        let all = RETIRED + KEPT + 1;
        scope.spawn(|| {
            while known.load(Relaxed) > KEPT + 1 {
                if let Ok(jobs) = server.health("jobs") {
                    known.store(jobs, Relaxed);
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        let mut measure = || -> Outcome<()> {
            let mut step = 0;
            while known.load(Relaxed) > KEPT + 1 {
                step += 1;
                while renamed.try_recv().is_ok() {}
                let begin = Instant::now();
                folder.replace(&status_file(&job, 0), &status("scanning", step))?;
                let by_bare =
                    renamed.recv_timeout(PATIENCE).map_err(|_| "the bare watch is silent")? - begin;
                let by_stream = loop {
                    let (at, arrived) =
                        stream.recv_timeout(PATIENCE).map_err(|_| "the stream is silent")?;
                    if arrived == step {
                        break at - begin;
                    }
                };
                let retiring = known.load(Relaxed) < all;
                if retiring {
                    first_gone.get_or_insert(begin);
                }
                let (of_bare, of_stream) = if retiring { &mut during } else { &mut before };
                of_bare.add(by_bare);
                of_stream.add(by_stream);
                thread::sleep(PAUSE);
            }
            Ok(())
        };
        let measured = measure();
        // Ends the other thread even if the measurement failed.
        known.store(0, Relaxed);
        measured
    })?;
    let took = first_gone.map(|begin| begin.elapsed()).unwrap_or_default();
    println!(
        "{RETIRED} finished jobs are retired beside {KEPT}, in {took:.1?}; ms from a rename on"
    );
    println!("{:44} {:>6} {:>9} {:>9} {:>9}", "", "events", "p50", "p99", "worst");
    println!("{}", before.0.line("before: a bare inotify watch"));
    println!("{}", before.1.line("before: bytes of the event stream"));
    println!("{}", during.0.line("meanwhile: a bare inotify watch"));
    println!("{}", during.1.line("meanwhile: bytes of the event stream"));
    Ok(())
}

/// Writes a finished job: with all files (`whole`), or only with those that are watched.
fn lay_finished(folder: &Folder, id: &str, age: TimeDelta, whole: bool) -> Outcome<()> {
    let job = folder.jobs.join(id);
    fs::create_dir(&job)?;
    let ended = (Utc::now() - age).to_rfc3339();
    let master = format!(
        r#"{{"job_id":"{id}","status":"completed","total_repositories":{REPOSITORIES},"completed_at":"{ended}"}}"#
    );
    write(&job.join("master.json"), &master)?;
    for index in 0..REPOSITORIES {
        write(&status_file(&job, index), &status("completed", 1))?;
    }
    if whole {
        for (name, ending) in [("results", "json"), ("logs", "log"), ("locks", "lock")] {
            fs::create_dir(job.join(name))?;
            for index in 0..REPOSITORIES {
                write(&job.join(format!("{name}/repo_{index}.{ending}")), &"x".repeat(4_000))?;
            }
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}
