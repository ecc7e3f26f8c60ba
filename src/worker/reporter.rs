//! The reporter: owner of the status file, which always shows the current state of the scan.
//!
//! Input: state changes, figures, errors. Output: the status file, replaced at once on a state
//! change, at most every `progress_interval_ms` while figures change, and at least every
//! `update_interval_secs` as a heartbeat; the last two on a thread of its own.
//!
//! Invariants: the revision grows with each write; after a final write there are no more writes; a
//! failed write of progress does no harm.

use super::{
    log::Log,
    status::{self, Facts, Figures, Identity, Stage},
};
use crate::{
    model::{
        Failure, RepoState, json::count_of, redact::Redactor, state::Work, status_file::raw_object,
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

/// How often a final write is tried, and the pause after the first failure; each further pause is
/// twice as long. All together take 3 seconds, within the grace period of a shim.
const FINAL_TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The maximum number of entries in `errors`; a repository with ten thousand bad files has more.
const MOST_ERRORS: usize = 20;

/// Reports the state of the scan. Stops its thread on drop.
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
    now: Mutex<ReporterState>,
    wake: Condvar,
}

/// The changing state.
struct ReporterState {
    facts: Facts,
    figures: Figures,
    /// Whether the figures are newer than the file.
    moved: bool,
    last_write: Instant,
    /// Whether the last write failed; logged once, not twice a second.
    failing: bool,
    /// Nothing is written any more.
    over: bool,
}

impl Reporter {
    /// Writes the first status, `starting`, and starts the heartbeat.
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
            is_unchanged: false,
        };
        let shared = Arc::new(Shared {
            status_file: task.status_file.clone(),
            staging: task.work_dir.clone(),
            progress_interval: Duration::from_millis(task.progress_interval_ms.max(1)),
            // Slightly early, so that the heartbeat is not late.
            heartbeat: Duration::from_secs(task.update_interval_secs.max(1)).mul_f64(0.9),
            identity,
            log: Log::new(redactor.clone()),
            redactor,
            now: Mutex::new(ReporterState {
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
            shared.log.warn(&format!(
                "cannot start the heartbeat thread; the shim may report a stall: {error}"
            ));
        }
        Self { shared, beat: beat.ok() }
    }

    /// The log, which masks the same secrets.
    pub(super) fn log(&self) -> &Log {
        &self.shared.log
    }

    /// Enters a new state; written at once.
    pub(super) fn enter(&self, work: Work, stage: Stage, message: &str) {
        let mut now = self.shared.lock();
        now.facts.state = RepoState::Working(work);
        now.figures.stage = stage;
        now.figures.stage_progress = None;
        message.clone_into(&mut now.figures.message);
        self.shared.write_progress(&mut now);
    }

    /// Changes the figures; written at the next interval.
    pub(super) fn update(&self, change: impl FnOnce(&mut Figures)) {
        let mut now = self.shared.lock();
        change(&mut now.figures);
        if !now.moved {
            now.moved = true;
            self.shared.wake.notify_all();
        }
    }

    /// Adds an error that does not end the scan.
    pub(super) fn note(&self, message: &str, exception: &str, traceback: Option<&str>) {
        self.shared.log.error(message);
        let entry =
            status::error_entry(&self.shared.redactor, message, exception, traceback, Utc::now());
        let mut now = self.shared.lock();
        if now.facts.errors.len() < MOST_ERRORS {
            now.facts.errors.push(entry);
        }
        now.moved = true;
        self.shared.wake.notify_all();
    }

    /// Finishes the scan successfully.
    pub(super) fn complete(&self, message: &str) -> Result<(), StoreError> {
        let mut now = self.shared.lock();
        message.clone_into(&mut now.figures.message);
        now.figures.current_filename = None;
        now.figures.stage = Stage::Conclude;
        self.shared.finish(now, RepoState::Completed)
    }

    /// Ends the scan without a final status: the shim writes it, with the stored result.
    pub(super) fn end_unchanged(&self) -> Result<(), StoreError> {
        let mut now = self.shared.lock();
        "Nothing has changed".clone_into(&mut now.figures.message);
        now.figures.stage = Stage::Conclude;
        now.facts.is_unchanged = true;
        self.shared.finish(now, RepoState::Working(Work::Analyzing))
    }

    /// Fails the scan. The cause is the first of the errors.
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
        let entry = status::error_entry(redactor, &detail, exception, traceback, Utc::now());
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
            // The panic hook has already reported a panic.
            let _ = beat.join();
        }
    }
}

impl Shared {
    /// Figures of a thread that panicked are still valid.
    fn lock(&self) -> MutexGuard<'_, ReporterState> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes changed figures when they are due, and a heartbeat when nothing changes.
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

    fn write_progress(&self, now: &mut ReporterState) {
        if now.over {
            return;
        }
        match self.write(now, Durability::Eventual) {
            Ok(()) => {
                now.moved = false;
                now.failing = false;
            }
            Err(error) => {
                // Repeated after the next interval.
                now.moved = true;
                if !now.failing {
                    self.log.warn(&format!("cannot write the status; retrying: {}", chain(&error)));
                }
                now.failing = true;
            }
        }
    }

    fn finish(
        &self,
        mut now: MutexGuard<'_, ReporterState>,
        state: RepoState,
    ) -> Result<(), StoreError> {
        if now.over {
            return Ok(());
        }
        now.over = true;
        now.facts.state = state;
        now.facts.completed_at = state.is_final().then(Utc::now);
        // Whoever reads a status that is not final has not been promised anything.
        let durability = if state.is_final() { Durability::Flushed } else { Durability::Eventual };
        let mut pause = FIRST_PAUSE;
        for _ in 1..FINAL_TRIES {
            match self.write(&mut now, durability) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.log.warn(&format!(
                        "cannot write the final status; retrying: {}",
                        chain(&error)
                    ));
                }
            }
            thread::sleep(pause);
            pause *= 2;
        }
        self.write(&mut now, durability)
    }

    fn write(&self, now: &mut ReporterState, durability: Durability) -> Result<(), StoreError> {
        now.last_write = Instant::now();
        now.facts.revision = now.facts.revision.saturating_add(1);
        let file = status::status_file(
            &self.redactor,
            &self.identity,
            &now.facts,
            &now.figures,
            Utc::now(),
        );
        atomic::replace_json(&self.staging, &self.status_file, &file, durability)
    }
}

/// The revision that scanwatch wrote before this scanner started; the scanner's revisions continue
/// from it.
fn revision_before(task: &ScanTask) -> u64 {
    read::whole(&task.status_file, read::STATUS_CAP)
        .ok()
        .and_then(|(bytes, _)| raw_object(&bytes))
        .and_then(|map| map.get("revision").and_then(count_of))
        .unwrap_or(0)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reporter({})", self.status_file.display())
    }
}

#[cfg(test)]
mod tests;
