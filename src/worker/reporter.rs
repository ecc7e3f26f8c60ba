//! The owner of the status file: it says at any time where the scan stands.
//!
//! Input: changes of state, figures, errors. Output: the status file, replaced
//! at once on a change of state, at most every `progress_interval_ms` while figures move, and
//! at least every `update_interval_secs` as a sign of life; the last two by a thread of its own.
//!
//! Invariants: the revision grows with each write; after a final write there is none;
//! a write of progress that fails costs nothing but that write.

use super::{
    log::Log,
    status::{self, ErrorEntry, Facts, Figures, Identity, Stage, StatusFile},
};
use crate::{
    model::{
        Failure, RepoState, json::count_of, redact::Redactor, repository::raw_object, state::Work,
        task::ScanTask,
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        chain, read,
    },
};
use chrono::Utc;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a final state is tried to be written, and the pause after the first failure; each
/// further one is twice as long. In all that is 3 seconds, within the grace of a shim.
const FINAL_TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The most entries in `errors`; a repository of ten thousand bad files has more.
const MOST_ERRORS: usize = 20;

/// Says where the scan stands. Ends its thread when it is dropped.
#[derive(Debug)]
pub(super) struct Reporter {
    shared: Arc<Shared>,
    beat: Option<JoinHandle<()>>,
}

struct Shared {
    status_file: PathBuf,
    staging: PathBuf,
    progress_interval: Duration,
    heartbeat: Duration,
    identity: Identity,
    redactor: Redactor,
    log: Log,
    now: Mutex<Now>,
    wake: Condvar,
}

/// What changes.
struct Now {
    facts: Facts,
    figures: Figures,
    /// Whether the figures are newer than the file.
    moved: bool,
    last_write: Instant,
    /// Whether the last write failed; said once, not twice a second.
    failing: bool,
    /// Nothing is written any more.
    over: bool,
}

impl Reporter {
    /// Writes the first status, `starting`, and keeps the file alive from now on.
    pub(super) fn start(task: &ScanTask, redactor: Redactor) -> Self {
        let identity = Identity {
            repo_index: task.repo_index,
            repo_name: task.repo_name.clone(),
            git_url: task.git_url.clone(),
            attempt: task.attempt,
            started_at: Utc::now(),
        };
        let facts = Facts {
            state: RepoState::Working(Work::Starting),
            revision: revision_before(task),
            completed_at: None,
            errors: Vec::new(),
            failure: None,
        };
        let shared = Arc::new(Shared {
            status_file: task.status_file.clone(),
            staging: task.work_dir.clone(),
            progress_interval: Duration::from_millis(task.progress_interval_ms.max(1)),
            // A little early, so that the sign of life is there when it is due.
            heartbeat: Duration::from_secs(task.update_interval_secs.max(1)).mul_f64(0.9),
            identity,
            log: Log::new(redactor.clone()),
            redactor,
            now: Mutex::new(Now {
                facts,
                figures: Figures::new(),
                moved: false,
                last_write: Instant::now(),
                failing: false,
                over: false,
            }),
            wake: Condvar::new(),
        });
        shared.write_progress(&mut shared.lock());
        let beating = Arc::clone(&shared);
        let beat =
            thread::Builder::new().name("heartbeat".to_owned()).spawn(move || beating.beat());
        if let Err(error) = &beat {
            shared.log.warn(&format!("no heartbeat, its thread did not start: {error}"));
        }
        Self { shared, beat: beat.ok() }
    }

    /// The log that keeps the same secrets.
    pub(super) fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The scan is now at this work; written at once.
    pub(super) fn enter(&self, work: Work, stage: Stage, message: &str) {
        let mut now = self.shared.lock();
        now.facts.state = RepoState::Working(work);
        now.figures.stage = stage;
        now.figures.stage_progress = None;
        message.clone_into(&mut now.figures.message);
        self.shared.write_progress(&mut now);
    }

    /// The figures have moved; written when it is time.
    pub(super) fn update(&self, change: impl FnOnce(&mut Figures)) {
        let mut now = self.shared.lock();
        change(&mut now.figures);
        if !now.moved {
            now.moved = true;
            self.shared.wake.notify_all();
        }
    }

    /// An error that does not end the scan.
    pub(super) fn note(&self, message: &str, exception: &str, traceback: Option<&str>) {
        self.shared.log.error(message);
        let entry =
            ErrorEntry::new(&self.shared.redactor, message, exception, traceback, Utc::now());
        let mut now = self.shared.lock();
        if now.facts.errors.len() < MOST_ERRORS {
            now.facts.errors.push(entry);
        }
        now.moved = true;
        self.shared.wake.notify_all();
    }

    /// The scan is done, well.
    pub(super) fn complete(&self, message: &str) -> Result<(), StoreError> {
        let mut now = self.shared.lock();
        message.clone_into(&mut now.figures.message);
        now.figures.current_filename = None;
        now.figures.stage = Stage::Conclude;
        self.shared.finish(now, RepoState::Completed)
    }

    /// The scan is over: it failed. The cause stands first among the errors.
    pub(super) fn fail(
        &self,
        failure: &Failure,
        exception: &str,
        traceback: Option<&str>,
    ) -> Result<(), StoreError> {
        let redactor = &self.shared.redactor;
        let detail = status::clean(redactor, &failure.detail);
        self.shared.log.error(&format!("{}: {detail}", failure.kind.as_str()));
        let mut now = self.shared.lock();
        let entry = ErrorEntry::new(redactor, &detail, exception, traceback, Utc::now());
        now.facts.errors.insert(0, entry);
        now.facts.errors.truncate(MOST_ERRORS);
        now.facts.failure = Some(Failure { detail, ..failure.clone() });
        self.shared.finish(now, RepoState::Failed)
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.wake.notify_all();
        if let Some(beat) = self.beat.take() {
            // A panic there was said by the panic hook already.
            let _ = beat.join();
        }
    }
}

impl Shared {
    /// A thread that panicked has left figures behind that are as good as any.
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes moved figures when they are due, and a sign of life when nothing moves.
    fn beat(&self) {
        let mut now = self.lock();
        while !now.over {
            let interval = if now.moved { self.progress_interval } else { self.heartbeat };
            let left = interval.saturating_sub(now.last_write.elapsed());
            if left.is_zero() {
                self.write_progress(&mut now);
            } else {
                now = self.wake.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn write_progress(&self, now: &mut Now) {
        if now.over {
            return;
        }
        match self.write(now, Durability::Eventual) {
            Ok(()) => {
                now.moved = false;
                now.failing = false;
            }
            Err(error) => {
                // Tried again after the next interval.
                now.moved = true;
                if !now.failing {
                    self.log.warn(&format!("status not written: {}", chain(&error)));
                }
                now.failing = true;
            }
        }
    }

    fn finish(&self, mut now: MutexGuard<'_, Now>, state: RepoState) -> Result<(), StoreError> {
        if now.over {
            return Ok(());
        }
        now.over = true;
        now.facts.state = state;
        now.facts.completed_at = Some(Utc::now());
        let mut pause = FIRST_PAUSE;
        for _ in 1..FINAL_TRIES {
            match self.write(&mut now, Durability::Flushed) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.log.warn(&format!("final status not written: {}", chain(&error)));
                }
            }
            thread::sleep(pause);
            pause *= 2;
        }
        self.write(&mut now, Durability::Flushed)
    }

    fn write(&self, now: &mut Now, durability: Durability) -> Result<(), StoreError> {
        now.last_write = Instant::now();
        now.facts.revision = now.facts.revision.saturating_add(1);
        let file =
            StatusFile::new(&self.redactor, &self.identity, &now.facts, &now.figures, Utc::now());
        atomic::replace_json(&self.staging, &self.status_file, &file, durability)
    }
}

/// The revision of what scanwatch wrote before this scanner began; ours go on from there.
fn revision_before(task: &ScanTask) -> u64 {
    read::whole(&task.status_file, read::STATUS_CAP)
        .ok()
        .and_then(|(bytes, _)| raw_object(&bytes))
        .and_then(|it| it.get("revision").and_then(count_of))
        .unwrap_or(0)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reporter({})", self.status_file.display())
    }
}

#[cfg(test)]
mod tests;
