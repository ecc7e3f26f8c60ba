//! The shim is the process between server and scanner, one for each attempt: a small blocking
//! program, so that a scan completes without a server and loses nothing when the server dies.
//!
//! Input: one [`ShimTask`] on standard input, and later perhaps SIGTERM (with an order in a file).
//! Output: a scanner process, its log, and the final state in `repo_N.json` if the scanner wrote
//! none.
//!
//! Invariants:
//! - The shim holds the repository's lock from before its first write until it exits.
//! - An attempt begins at most once: a shim whose attempt is already claimed exits without changing
//!   anything.
//! - When the shim exits cleanly, a final state (or `interrupted`, after a stop) is on the disk,
//!   and no process of the attempt is left.

mod check;
mod death_cause;
pub mod element;
mod finalize;
mod log;
mod process_tree;
mod reuse;
mod timeouts;
mod verdict;

use crate::{
    model::{Failure, FailureKind, attempt::AttemptRecord, task::ShimTask},
    store::{
        StoreError, attempt,
        elements::Elements,
        layout::{JobDir, JobsDir},
        lock::{self, RecordLock},
        read::Signature,
        reserve::{Reserve, is_full},
        trash,
    },
    sys::{self, ChildEnd, memory::MemoryWatch},
};
use chrono::Utc;
use element::Element;
use finalize::Finalizer;
use process_tree::Scanner;
use reuse::Results;
use std::{
    fs::DirBuilder,
    io::Read,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};
use verdict::RunEnd;

/// How long a shim on a node of a cluster waits for the lock of an earlier one.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The exit codes of a shim, for the server that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The attempt has ended and its final state is on the disk.
    Over = 0,
    /// Another shim holds the lock.
    Busy = 75,
    /// This attempt was claimed before.
    Stale = 76,
    /// The attempt could not begin; nothing was claimed.
    CouldNotBegin = 77,
}

/// Runs the shim to its end: the whole of `scanwatch shim`.
pub fn run() -> ExitCode {
    sys::set_process_name(c"scanwatch-shim");
    // First, because Ctrl-C is meant for the server, which then orders its shims.
    sys::start_own_session();
    // The task contains secrets. If the kernel refuses, the default protection remains.
    let _ = sys::protect_memory();
    // From here on SIGTERM is an order; the shim handles it.
    let orders = timeouts::Orders::listen();
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text).map_err(|error| error.to_string());
    let task = read.and_then(|_| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let code = match (task, orders) {
        (Ok(task), Ok(orders)) => Shim::new(task).map(|shim| shim.run(orders)),
        // The input is invalid only if the server died while it wrote, or a person runs the shim
        // manually.
        (Err(_), _) | (_, Err(_)) => Ok(Exit::CouldNotBegin as u8),
    };
    ExitCode::from(code.unwrap_or(Exit::CouldNotBegin as u8))
}

/// The lock of a repository, released when this is dropped.
enum Lock {
    Held(#[expect(dead_code, reason = "held, not read")] RecordLock),
    /// The shared file system of a cluster has no locks.
    None,
    /// Another shim holds it.
    Busy,
}

/// How an attempt ended here.
struct Left {
    code: u8,
    /// Slurm asked for the end.
    terminated: bool,
}

impl From<Exit> for Left {
    fn from(exit: Exit) -> Self {
        Self { code: exit as u8, terminated: false }
    }
}

struct Shim {
    task: ShimTask,
    jobs: JobsDir,
    job: JobDir,
    scratch: PathBuf,
    /// The element of a Slurm array that it runs in.
    element: Option<Element>,
}

impl Shim {
    fn new(mut task: ShimTask) -> Result<Self, StoreError> {
        let jobs = JobsDir::new(&task.jobs_dir)?;
        let job = jobs.job(&task.scan.job_id);
        let scratch =
            trash::scratch(&job, &task.scan.job_id, task.scan.repo_index, task.scan.attempt);
        task.scan.work_dir.clone_from(&scratch);
        // Only this process knows what is known.
        task.scan.known = None;
        let element =
            task.element.take().map(|element| Element::new(element, Elements::new(&jobs)));
        Ok(Self { task, jobs, job, scratch, element })
    }

    /// Runs the attempt; returns the exit code.
    fn run(mut self, mut orders: timeouts::Orders) -> u8 {
        orders.element.clone_from(&self.element);
        let left = self.attempt(&orders).unwrap_or(Exit::CouldNotBegin.into());
        // The lock is free again: who reads the mark may read everything else.
        if let Some(element) = &self.element {
            element.end(left.code, left.terminated);
        }
        left.code
    }

    /// Takes the lock of the repository.
    fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.job.lock(self.task.scan.repo_index);
        if self.element.is_none() {
            return lock::take(&path).map(|lock| lock.map_or(Lock::Busy, Lock::Held));
        }
        // A shim that Slurm has given up may still be about to see that. A file system without locks is no obstacle: the
        // task was taken once.
        let patience = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock::take(&path) {
                Ok(Some(lock)) => return Ok(Lock::Held(lock)),
                Err(_) => return Ok(Lock::None),
                Ok(None) if Instant::now() >= patience => return Ok(Lock::Busy),
                Ok(None) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Whether the attempt was claimed or ended before.
    fn is_stale(&self) -> Result<bool, StoreError> {
        let before = attempt::read(&self.job, self.task.scan.repo_index)?;
        let number = self.task.scan.attempt;
        Ok(match &self.element {
            None => before.is_some_and(|record| record.attempt >= number),
            Some(element) => {
                element.is_fenced()
                    || before.is_some_and(|record| !element.may_begin(&record, number))
            }
        })
    }

    fn attempt(&mut self, orders: &timeouts::Orders) -> Result<Left, StoreError> {
        sys::close_descriptors_on_exec();
        let index = self.task.scan.repo_index;
        let lock = self.lock()?;
        if matches!(lock, Lock::Busy) {
            return Ok(Exit::Busy.into());
        }
        if self.is_stale()? {
            return Ok(Exit::Stale.into());
        }
        // Everything that needs disk space comes before the claim: an attempt that cannot begin
        // because the disk is full has not begun, and the repository waits.
        let ready = self.prepare().inspect_err(|_| self.clear_up())?;
        let record = AttemptRecord {
            schema: 1,
            attempt: self.task.scan.attempt,
            interruptions: self.task.interruptions,
            retries: self.task.retries,
            alone: self.task.alone,
            started_at: Utc::now(),
            remote: self.element.as_ref().map(Element::remote),
        };
        attempt::write(&self.job, index, &record).inspect_err(|_| self.clear_up())?;
        // The attempt is claimed. Without this copy a scanner could revert the claim more easily.
        let _ = attempt::keep(&self.job, index, &record);
        // The lock is held and the attempt claimed: from here on every exit finalizes the attempt.
        let results = Results::of(&self.jobs, &self.task);
        self.task.scan.known = results.known();
        let finalizer = Finalizer::new(&self.task, &self.job, &results, ready.reserves);
        let ending = self.scan(&finalizer, &results, orders, &ready.log);
        // Removed first, because the scratch folder may be what fills the disk. If it stays, the
        // server removes it when it finalizes the attempt, or at start.
        let _ = trash::remove_scratch(&self.scratch);
        // The server has ended the attempt: a later one may be under way.
        if ending == RunEnd::Fenced || self.element.as_ref().is_some_and(Element::is_fenced) {
            return Ok(Exit::Stale.into());
        }
        let code = match finalizer.finalize(&ending) {
            Ok(()) => {
                if let (Some(problem), Ok(log)) = (results.keep(&self.job, &self.task), &ready.log)
                {
                    log.note(&problem);
                }
                Exit::Over as u8
            }
            Err(unwritten) => unwritten.code(),
        };
        Ok(Left { code, terminated: ending == RunEnd::Terminated })
    }

    /// Allocates the disk space that the attempt needs to begin and to end.
    fn prepare(&self) -> Result<Ready, StoreError> {
        let scan = &self.task.scan;
        let paths = trash::reserves(&self.job, &scan.job_id, scan.repo_index, scan.attempt);
        let reserves = paths.iter().map(|path| Reserve::make(path)).collect::<Result<_, _>>()?;
        make_scratch(&self.scratch).map_err(StoreError::at("create", &self.scratch))?;
        let path = self.job.log(scan.repo_index);
        match log::Log::create(&path, &self.task).map_err(StoreError::at("create", path)) {
            Err(error) if is_full(&error) => Err(error),
            log => Ok(Ready { reserves, log }),
        }
    }

    /// Removes the files of an attempt that was not claimed.
    fn clear_up(&self) {
        let _ = trash::remove_scratch(&self.scratch);
    }

    /// Runs the scanner and its process tree until both have ended.
    fn scan(
        &self,
        finalizer: &Finalizer<'_>,
        results: &Results,
        orders: &timeouts::Orders,
        log: &Result<log::Log, StoreError>,
    ) -> RunEnd {
        let spawn_failure = |what: &str, error: &dyn std::error::Error| {
            let detail = format!("{what}: {}", crate::store::chain(error));
            RunEnd::NotStarted(Failure::new(FailureKind::Spawn, detail))
        };
        if let Err(error) = finalizer.write_starting() {
            return spawn_failure("cannot write the first status", &error);
        }
        if let Some(end) = orders.given(&self.job, &self.task.scan) {
            return end;
        }
        let log = match log {
            Ok(log) => log,
            Err(error) => return spawn_failure("cannot create the log", &error.source),
        };
        let is_checked = results.needs_check(&self.task);
        let check = || {
            if is_checked { check::run(&self.task, &self.job, orders, log) } else { Ok(None) }
        };
        match check() {
            Err(ending) => return ending,
            Ok(Some(status)) if results.unchanged(&status).is_some() => {
                return match finalizer.write_unchanged(status) {
                    Ok(()) => RunEnd::Ended(ChildEnd::Exited(0)),
                    Err(error) => spawn_failure("cannot write the status", &error),
                };
            }
            Ok(status) => results.note_commit(status.as_ref()),
        }
        let before = Signature::at(&self.job.status(self.task.scan.repo_index));
        let mut memory = MemoryWatch::begin();
        let ending = match Scanner::start(&self.task, log) {
            Err(error) => spawn_failure(&process_tree::cannot_start(&self.task), &error),
            Ok(mut scanner) => {
                let ending =
                    timeouts::until_run_ends(&mut scanner, &self.task, &self.job, before, orders);
                scanner.end_tree(log);
                let ending = death_cause::of(
                    ending,
                    scanner.pid(),
                    &self.task,
                    &mut memory,
                    &log.stderr_tail(),
                );
                death_cause::with_disk(ending, &self.task, self.job.staging())
            }
        };
        finalizer.keep_stderr(log.stderr_tail());
        if is_checked && ending == RunEnd::Ended(ChildEnd::Exited(0)) {
            // What was scanned is the commit that was there before and after. The scan has ended: an order changes nothing.
            results.confirm_commit(check().ok().flatten().as_ref());
        }
        ending
    }
}

/// The files of an attempt that exist before the attempt is claimed.
struct Ready {
    reserves: Vec<Reserve>,
    /// A scanner may have put something unusable at the log's path: that fails the attempt.
    log: Result<log::Log, StoreError>,
}

fn make_scratch(path: &Path) -> std::io::Result<()> {
    let make = || DirBuilder::new().mode(0o700).create(path);
    match make() {
        // Left by a shim of the same attempt that died before it could claim it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            trash::remove_scratch(path).map_err(|error| error.source)?;
            make()
        }
        other => other,
    }
}
