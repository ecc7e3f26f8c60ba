//! A reader that never rests: a thousand times a second it reads every file of every job, and
//! records what is not a complete file of its kind, and what moves other than forward.

use crate::support::files;
use scanwatch::{
    model::{
        FailureKind, RepoState,
        attempt::{AttemptRecord, Order},
        master::Master,
        plan::Plan,
        repository::RepositoryStatus,
        scan_result::ScanResult,
    },
    store::layout::JobFile,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The interval between two reads.
const PACE: Duration = Duration::from_millis(1);

/// The thread, and what it has seen.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    jobs: PathBuf,
    /// Whether results are those of the built-in scanner.
    own_results: bool,
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    reads: u64,
    looks: u64,
    /// The bytes judged last.
    last: HashMap<PathBuf, Vec<u8>>,
    repositories: BTreeMap<(String, u32), Vec<Sight>>,
    ends: BTreeMap<String, String>,
    problems: Vec<String>,
}

/// What a repository's file said at one time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sight {
    pub(super) attempt: u64,
    pub(super) state: RepoState,
    pub(super) interrupted: bool,
    pub(super) total_files: Option<u64>,
    revision: Option<u64>,
}

impl Reader {
    /// Starts to read. `own_results` says that every result is the built-in scanner's.
    pub(crate) fn start(jobs: PathBuf, own_results: bool) -> Self {
        let (over, seen) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { jobs, own_results, over, seen });
        let reading = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !reading.over.load(Ordering::Relaxed) {
                let next = Instant::now() + PACE;
                reading.look();
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// How often it has looked, and how many files it has read.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let seen = self.shared.lock();
        (seen.looks, seen.reads)
    }

    /// The problems so far.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.shared.lock().problems.clone()
    }

    /// What it has seen of a repository, in order.
    pub(super) fn sights(&self, job: &str, index: u32) -> Vec<Sight> {
        let seen = self.shared.lock();
        seen.repositories.get(&(job.to_owned(), index)).cloned().unwrap_or_default()
    }

    /// Forgets what it has seen of a job that is removed.
    pub(super) fn forget(&self, job: &str) {
        let mut seen = self.shared.lock();
        let folder = self.shared.jobs.join(job);
        seen.last.retain(|path, _| !path.starts_with(&folder));
        seen.repositories.retain(|(id, _), _| id != job);
        seen.ends.remove(job);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("the reader does not panic")
    }

    fn look(&self) {
        for folder in fs::read_dir(&self.jobs).into_iter().flatten().flatten() {
            let Ok(job) = folder.file_name().into_string() else { continue };
            if job.starts_with('.') {
                continue;
            }
            for path in files::below(&folder.path()) {
                // A file that is gone by now was replaced, or removed, as a whole.
                if path.extension().is_some_and(|extension| extension == "json")
                    && let Ok(bytes) = fs::read(&path)
                {
                    let mut seen = self.lock();
                    seen.reads += 1;
                    if seen.last.get(&path) != Some(&bytes) {
                        if let Err(problem) = self.judge(&mut seen, &job, &path, &bytes) {
                            let text = String::from_utf8_lossy(&bytes);
                            let problem = format!("{}: {problem}: {text}", path.display());
                            seen.problems.push(problem);
                        }
                        seen.last.insert(path, bytes);
                    }
                }
            }
        }
        self.lock().looks += 1;
    }

    /// Judges a file by the types it is read with, and by what it said before.
    fn judge(&self, seen: &mut Seen, job: &str, path: &Path, bytes: &[u8]) -> Result<(), String> {
        let name = path.file_name().unwrap_or_default();
        let text = name.to_string_lossy();
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        if text == "repositories.json" {
            return typed::<Plan>(bytes);
        }
        if folder == "locks" {
            let is_order = text.ends_with(".order.json");
            return if is_order { typed::<Order>(bytes) } else { typed::<AttemptRecord>(bytes) };
        }
        if folder == "results" {
            return if self.own_results {
                typed::<ScanResult>(bytes)
            } else {
                typed::<Value>(bytes)
            };
        }
        match JobFile::parse(name) {
            Some(JobFile::Master) => {
                let (master, warnings) = Master::parse(bytes)?;
                none_of(&warnings)?;
                if master.job_id.as_deref() != Some(job) {
                    return Err(format!("another job's: {:?}", master.job_id));
                }
                let end = master.final_state().map(|state| state.to_string());
                let before = end.clone().and_then(|state| seen.ends.insert(job.to_owned(), state));
                match (seen.ends.get(job), &end) {
                    (Some(said), None) => Err(format!("the end {said} is taken back")),
                    _ if before.is_some() && before != end => {
                        Err(format!("another end: {before:?}"))
                    }
                    _ => Ok(()),
                }
            }
            Some(JobFile::Repository(index)) => {
                let (status, warnings) = RepositoryStatus::parse(index, bytes)?;
                none_of(&warnings)?;
                let raw: Value =
                    serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                let sights = seen.repositories.entry((job.to_owned(), index)).or_default();
                let last = sights.last();
                let sight = Sight {
                    attempt: status.attempt.or(last.map(|sight| sight.attempt)).unwrap_or(0),
                    state: status.state,
                    interrupted: status
                        .failure
                        .is_some_and(|failure| failure.kind == FailureKind::Interrupted),
                    total_files: raw["total_files"].as_u64(),
                    // Third-party scanners need not count.
                    revision: raw["revision"].as_u64().filter(|_| self.own_results),
                };
                let moved = last.map_or(Ok(()), |last| may_follow(last, &sight));
                let reported = moved.map_err(|why| format!("{why}: {last:?}, then {sight:?}"));
                sights.push(sight);
                reported
            }
            None => typed::<IgnoredAny>(bytes),
        }
    }
}

/// Whether one state of a repository may follow another.
fn may_follow(last: &Sight, next: &Sight) -> Result<(), &'static str> {
    if next.attempt < last.attempt {
        return Err("an earlier attempt speaks");
    }
    if next.attempt > last.attempt {
        let ended = last.state.is_final();
        return if ended { Err("another attempt after the end") } else { Ok(()) };
    }
    if last.revision.zip(next.revision).is_some_and(|(last, next)| next <= last) {
        return Err("an earlier revision");
    }
    match (last.state, next.state) {
        (last, next) if last.is_final() && next != last => Err("a final state has changed"),
        (RepoState::Working(_), RepoState::Pending) if !next.interrupted => {
            Err("it waits again, for no reason")
        }
        (RepoState::Pending, RepoState::Working(_)) if last.interrupted => {
            Err("an attempt goes on that was called dead")
        }
        _ => Ok(()),
    }
}

fn typed<T: DeserializeOwned>(bytes: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<T>(bytes).map(drop).map_err(|error| error.to_string())
}

fn none_of(warnings: &[String]) -> Result<(), String> {
    if warnings.is_empty() { Ok(()) } else { Err(warnings.join("; ")) }
}
