//! Bursts: of updates, of new jobs, and of more events than the queue of the kernel holds.

use crate::{
    Outcome,
    support::{Folder, Server, Times, status, status_file, steps, until, until_equal},
};
use notify::{RecursiveMode, Watcher as _};
use rustix::process::Signal;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

const TURNS: u32 = 2;

/// The state on the disk: the steps of the repositories of each job.
fn on_disk(jobs: &[PathBuf]) -> Outcome<Vec<(String, Vec<u32>)>> {
    let read = |job: &PathBuf| {
        let mut wanted = Vec::new();
        let mut index = 0;
        while let Ok(text) = fs::read_to_string(status_file(job, index)) {
            wanted.extend(steps(&text));
            index += 1;
        }
        let name = job.file_name().ok_or("no name")?;
        Ok((name.to_string_lossy().into_owned(), wanted))
    };
    jobs.iter().map(read).collect()
}

fn equal(server: &Server, jobs: &[PathBuf], begin: Instant) -> Outcome<Duration> {
    let mut client = server.client()?;
    // This runs while the server works; the effort is small.
    let disk = on_disk(jobs)?;
    until_equal(&mut client, disk.iter().map(|(id, steps)| (id.as_str(), steps.clone())))?;
    Ok(begin.elapsed())
}

/// Renames status files into place, one repository after the other, again and again.
fn update(folder: &Folder, jobs: &[PathBuf], repositories: u32, updates: u32) -> Outcome<Duration> {
    let begin = Instant::now();
    let files: Vec<PathBuf> = (0..repositories)
        .flat_map(|index| jobs.iter().map(move |job| status_file(job, index)))
        .collect();
    for (step, path) in (1..=updates).zip(files.iter().cycle()) {
        folder.replace(path, &status("scanning", step))?;
    }
    Ok(begin.elapsed())
}

pub(crate) fn burst() -> Outcome<()> {
    const JOBS: u32 = 100;
    const REPOSITORIES: u32 = 10;
    const UPDATES: u32 = 100_000;
    let folder = Folder::new()?;
    let bare_folder = Folder::new()?;
    let lay = |folder: &Folder| -> Outcome<Vec<PathBuf>> {
        (0..JOBS).map(|number| folder.lay(&format!("burst-{number}"), REPOSITORIES, 0)).collect()
    };
    let (jobs, bare_jobs) = (lay(&folder)?, lay(&bare_folder)?);
    let server = Server::start(&folder, &[])?;
    let (mut by_server, mut bare) = (Times::default(), Times::default());
    println!(
        "{UPDATES} updates of {} files in one burst; ms after the last of them",
        JOBS * REPOSITORIES
    );
    for turn in 1..=TURNS {
        let known = Bare::watch(&bare_jobs)?;
        let took_bare = update(&bare_folder, &bare_jobs, REPOSITORIES, UPDATES)?;
        bare.add(known.until_equal(&bare_jobs)?);
        let took = update(&folder, &jobs, REPOSITORIES, UPDATES)?;
        by_server.add(equal(&server, &jobs, Instant::now())?);
        println!(
            "turn {turn}: written in {took:.1?}, beside a bare watch in {took_bare:.1?}; 0 lost"
        );
    }
    println!("{}", bare.line("a bare watch has read the last of each file"));
    println!("{}", by_server.line("the server shows the last of each file"));
    println!("overflows of the kernel's queue: {}", server.health("overflows")?);
    Ok(())
}

/// A watcher that only reads each file that an event names.
struct Bare {
    _watcher: notify::RecommendedWatcher,
    read: mpsc::Receiver<(PathBuf, u32)>,
}

impl Bare {
    fn watch(jobs: &[PathBuf]) -> Outcome<Self> {
        let (sender, read) = mpsc::channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let Ok(event) = event else { return };
                if event.kind.is_modify()
                    && let Some(path) = event.paths.into_iter().next()
                    && let Some(step) =
                        fs::read_to_string(&path).ok().and_then(|text| steps(&text).next())
                {
                    let _ = sender.send((path, step));
                }
            })?;
        for job in jobs {
            watcher.watch(job, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher, read })
    }

    /// The time until the watcher has read the state on the disk.
    fn until_equal(&self, jobs: &[PathBuf]) -> Outcome<Duration> {
        let begin = Instant::now();
        let mut wanted: HashMap<PathBuf, u32> = HashMap::new();
        for (job, (_, steps)) in jobs.iter().zip(on_disk(jobs)?) {
            let files = (0..).map(|index| status_file(job, index));
            wanted.extend(files.zip(steps));
        }
        while !wanted.is_empty() {
            let (path, step) = self.read.recv_timeout(Duration::from_secs(10))?;
            if wanted.get(&path) == Some(&step) {
                wanted.remove(&path);
            }
        }
        Ok(begin.elapsed())
    }
}

pub(crate) fn jobs() -> Outcome<()> {
    const JOBS: u32 = 400;
    const REPOSITORIES: u32 = 8;
    let folder = Folder::new()?;
    let server = Server::start(&folder, &[])?;
    let (mut by_server, mut bare) = (Times::default(), Times::default());
    println!("{JOBS} new jobs of {} files at once; ms", REPOSITORIES + 1);
    for turn in 1..=TURNS {
        let begin = Instant::now();
        let made: Vec<PathBuf> = (0..JOBS)
            .map(|number| folder.lay(&format!("turn-{turn}-{number}"), REPOSITORIES, number))
            .collect::<Outcome<_>>()?;
        let took = begin.elapsed();
        by_server.add(equal(&server, &made, Instant::now())?);
        let begin = Instant::now();
        on_disk(&made)?;
        bare.add(begin.elapsed());
        println!("turn {turn}: written in {took:.1?}; 0 lost");
    }
    println!("{}", bare.line("one thread reads the same files"));
    println!("{}", by_server.line("after the last write all are served"));
    Ok(())
}

pub(crate) fn overflow() -> Outcome<()> {
    const JOBS: u32 = 400;
    const REPOSITORIES: u32 = 8;
    let folder = Folder::new()?;
    let mut made: Vec<PathBuf> = (0..JOBS)
        .map(|number| folder.lay(&format!("job-{number}"), REPOSITORIES, 0))
        .collect::<Outcome<_>>()?;
    // Without this, a resync would find all changes.
    let server = Server::start(&folder, &["watch.resync_interval_secs=3600"])?;
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")?;
    let queue: u32 = queue.trim().parse()?;
    let (mut by_server, mut bare) = (Times::default(), Times::default());
    println!(
        "{JOBS} jobs of {} files, all changed beyond a full queue of events; ms",
        REPOSITORIES + 1
    );
    for turn in 1..=TURNS {
        let before = server.health("overflows")?;
        server.signal(Signal::STOP)?;
        fill(&folder, &made[0], queue)?;
        update(&folder, &made, REPOSITORIES, JOBS * REPOSITORIES)?;
        for number in 0..10 {
            made.push(folder.lay(&format!("new-{turn}-{number}"), REPOSITORIES, turn)?);
        }
        server.signal(Signal::CONT)?;
        by_server.add(equal(&server, &made, Instant::now())?);
        until("the overflow is counted", || {
            server.health("overflows").is_ok_and(|overflows| overflows > before)
        })?;
        let begin = Instant::now();
        on_disk(&made)?;
        bare.add(begin.elapsed());
    }
    println!("{}", bare.line("one thread reads the same files"));
    println!("{}", by_server.line("from SIGCONT until all are served"));
    Ok(())
}

/// Renames a file back and forth in a watched folder until the event queue of the kernel is full.
fn fill(folder: &Folder, job: &Path, queue: u32) -> Outcome<()> {
    let (one, other) = (job.join("one"), job.join("other"));
    folder.replace(&one, "")?;
    // Each rename causes at least two events.
    for _ in 0..queue / 4 + 10 {
        fs::rename(&one, &other)?;
        fs::rename(&other, &one)?;
    }
    Ok(())
}
