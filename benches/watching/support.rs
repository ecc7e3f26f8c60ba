//! The server under measurement, generated jobs, and statistics.

use crate::program::{Client, Outcome, Program};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// The timeout of every wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// A temporary jobs folder.
pub(crate) struct Folder {
    home: tempfile::TempDir,
    pub(crate) jobs: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Outcome<Self> {
        let home = tempfile::tempdir()?;
        let jobs = home.path().join("jobs");
        fs::create_dir_all(jobs.join(".staging"))?;
        Ok(Self { home, jobs })
    }

    /// Writes a file as scanners do: creates it elsewhere on the same file system, and renames it.
    pub(crate) fn replace(&self, path: &Path, text: &str) -> Outcome<()> {
        let staged = self.jobs.join(".staging/bench.tmp");
        File::create(&staged)?.write_all(text.as_bytes())?;
        Ok(fs::rename(staged, path)?)
    }

    /// Creates a job with this number of repositories, all at the same step.
    pub(crate) fn lay(&self, id: &str, repositories: u32, step: u32) -> Outcome<PathBuf> {
        let job = self.jobs.join(id);
        fs::create_dir(&job)?;
        let master = format!(r#"{{"job_id":"{id}","total_repositories":{repositories}}}"#);
        self.replace(&job.join("master.json"), &master)?;
        for index in 0..repositories {
            self.replace(&status_file(&job, index), &status("scanning", step))?;
        }
        Ok(job)
    }
}

pub(crate) fn status_file(job: &Path, index: u32) -> PathBuf {
    job.join(format!("repo_{index}.json"))
}

pub(crate) fn status(word: &str, step: u32) -> String {
    format!(r#"{{"repo_name":"r","status":"{word}","total_files":9999999,"current_file":{step}}}"#)
}

/// The steps in a text, in their order.
pub(crate) fn steps(text: &str) -> impl Iterator<Item = u32> {
    text.split("\"current_file\":").skip(1).filter_map(|rest| {
        rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    })
}

/// A server, which is stopped when this is dropped.
pub(crate) struct Server(Program);

impl Server {
    pub(crate) fn start(folder: &Folder, settings: &[&str]) -> Outcome<Self> {
        let program = Program::start(&folder.jobs, |command| {
            command.args(["--set", "scanner.command=/bin/true"]);
            command.args(settings.iter().flat_map(|setting| ["--set", setting]));
            command.current_dir(folder.home.path());
        })?;
        Ok(Self(program))
    }

    pub(crate) fn client(&self) -> Outcome<Client> {
        self.0.client("")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> Outcome<()> {
        let pid = i32::try_from(self.0.pid())?;
        let pid = rustix::process::Pid::from_raw(pid).ok_or("no process")?;
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// The number of watched folders.
    pub(crate) fn watches(&self) -> Outcome<usize> {
        let mut count = 0;
        for entry in fs::read_dir(format!("/proc/{}/fdinfo", self.0.pid()))?.flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            count += text.lines().filter(|line| line.starts_with("inotify ")).count();
        }
        Ok(count)
    }

    /// The steps that arrive on the event stream of a job, and when.
    pub(crate) fn stream(&self, id: &str) -> Outcome<Receiver<(Instant, u32)>> {
        let mut stream = self.0.connect()?;
        write!(stream, "GET /scan/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let (sender, arrived) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let now = Instant::now();
                // The chunked transfer splits lines, but no row of a repository.
                if line.contains("\"repo_index\":0") {
                    for step in steps(&line) {
                        let _ = sender.send((now, step));
                    }
                }
            }
        });
        // A change before the stream has begun is part of its snapshot.
        arrived.recv_timeout(PATIENCE)?;
        Ok(arrived)
    }

    /// A figure of `/health`, by its name.
    pub(crate) fn health(&self, name: &str) -> Outcome<u64> {
        let text = self.client()?.get("/health")?;
        let rest = text.split(&format!("\"{name}\":")).nth(1).ok_or("no such figure")?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok(digits.parse()?)
    }
}

/// The time until the server shows the state on the disk, for all of these jobs, with the steps of the
/// repositories of each job.
pub(crate) fn until_equal<'a>(
    client: &mut Client,
    jobs: impl Iterator<Item = (&'a str, Vec<u32>)>,
) -> Outcome<Duration> {
    let begin = Instant::now();
    for (id, wanted) in jobs {
        until("the server shows what is on the disk", || {
            client.get(&format!("/scan/{id}")).is_ok_and(|document| {
                let rows = document.split("\"current_repositories\":").next().unwrap_or_default();
                steps(rows).eq(wanted.iter().copied())
            })
        })?;
    }
    Ok(begin.elapsed())
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) -> Outcome<()> {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("timeout while waiting for: {what}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Times, counted per microsecond.
#[derive(Default)]
pub(crate) struct Times(BTreeMap<u128, u32>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        *self.0.entry(time.as_micros()).or_default() += 1;
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.values().sum()
    }

    /// In milliseconds.
    pub(crate) fn percentile(&self, percent: u32) -> f64 {
        let mut left = (self.count() * percent).div_ceil(100);
        for (micros, count) in &self.0 {
            left = left.saturating_sub(*count);
            if left == 0 {
                return Duration::from_micros(u64::try_from(*micros).unwrap_or(u64::MAX))
                    .as_secs_f64()
                    * 1e3;
            }
        }
        0.0
    }

    pub(crate) fn line(&self, what: &str) -> String {
        let [p50, p99, worst] = [50, 99, 100].map(|percent| self.percentile(percent));
        format!("{what:44} {:6} {p50:9.2} {p99:9.2} {worst:9.2}", self.count())
    }
}
