//! The process between server and scanner, one per attempt: a small blocking program, so that a
//! scan needs no server to end well and loses nothing when the server dies.
//!
//! Input: one [`ShimTask`] on standard input, and later perhaps SIGTERM (with an order
//! in a file). Output: a scanner process, its log, and the final state in `repo_N.json`
//! where the scanner did not write one.
//!
//! Invariants:
//! - It holds the repository's lock from before its first write until it exits.
//! - An attempt begins at most once: whoever finds it taken goes away without a trace.
//! - When it exits in order, a final state (or `interrupted`, on a stop) is on the disk, and no
//!   process of the attempt is left.

mod cause;
mod log;
mod process;
mod settle;
mod verdict;
mod watch;

use crate::{
    model::{Failure, FailureKind, attempt::AttemptRecord, task::ShimTask},
    store::{
        StoreError, attempt,
        layout::{JobDir, JobsDir},
        lock,
        reserve::{Reserve, is_full},
        trash,
    },
    sys::{self, memory::MemoryWatch},
};
use chrono::Utc;
use process::Scanner;
use settle::Settler;
use std::{
    fs::DirBuilder,
    io::Read,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
};
use watch::Ending;

/// How a shim exits, for the server that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The attempt is over, its end is on the disk.
    Over = 0,
    /// Another shim holds the lock.
    Busy = 75,
    /// This attempt was taken before.
    Stale = 76,
    /// It could not begin; nothing was claimed.
    CouldNotBegin = 77,
}

/// Runs the shim to its end: the whole of `scanwatch shim`.
pub fn run() -> ExitCode {
    sys::be_called(c"scanwatch-shim");
    // First of all: a Ctrl-C is for the server, which then says what it wants of its shims.
    sys::lead_own_session();
    // The task has secrets. A kernel that refuses leaves what every program has.
    let _ = sys::keep_memory_to_ourselves();
    // From here on SIGTERM is an order, not death.
    let orders = watch::Orders::listen();
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text).map_err(|it| it.to_string());
    let task = read.and_then(|_| serde_json::from_str(&text).map_err(|it| it.to_string()));
    let exit = match (task, orders) {
        (Ok(task), Ok(orders)) => Shim::new(task).and_then(|shim| shim.run(&orders)),
        // Nobody reads this but whoever runs a shim by hand: a server that died while it wrote.
        (Err(_), _) | (_, Err(_)) => Ok(Exit::CouldNotBegin.into()),
    };
    exit.unwrap_or(Exit::CouldNotBegin.into())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

struct Shim {
    task: ShimTask,
    job: JobDir,
    scratch: PathBuf,
}

impl Shim {
    fn new(mut task: ShimTask) -> Result<Self, StoreError> {
        let job = JobsDir::new(&task.jobs_dir)?.job(&task.scan.job_id);
        let scratch =
            trash::scratch(&job, &task.scan.job_id, task.scan.repo_index, task.scan.attempt);
        task.scan.work_dir.clone_from(&scratch);
        Ok(Self { task, job, scratch })
    }

    fn run(self, orders: &watch::Orders) -> Result<ExitCode, StoreError> {
        sys::keep_descriptors_to_ourselves();
        let index = self.task.scan.repo_index;
        let Some(_lock) = lock::take(&self.job.lock(index))? else {
            return Ok(Exit::Busy.into());
        };
        let before = attempt::read(&self.job, index)?;
        if before.is_some_and(|record| record.attempt >= self.task.scan.attempt) {
            return Ok(Exit::Stale.into());
        }
        // Whatever the disk has to give comes before the attempt is taken: what cannot begin because
        // the disk is full has not begun, and waits.
        let ready = self.prepare().inspect_err(|_| self.clear_up())?;
        let record = AttemptRecord {
            schema: 1,
            attempt: self.task.scan.attempt,
            interruptions: self.task.interruptions,
            retries: self.task.retries,
            started_at: Utc::now(),
        };
        attempt::write(&self.job, index, &record).inspect_err(|_| self.clear_up())?;
        // The attempt is claimed; without this it is only easier to take back.
        let _ = attempt::keep(&self.job, index, &record);
        // The lock is held and the attempt taken: from here on every way out is settled.
        let settler = Settler::new(&self.task, &self.job, ready.reserves);
        let ending = self.scan(&settler, orders, &ready.log);
        // First of all: it may be what fills the disk. One that stays is removed when the server
        // settles the attempt, or starts.
        let _ = trash::remove_scratch(&self.scratch);
        Ok(match settler.settle(&ending) {
            Ok(()) => Exit::Over.into(),
            Err(unsettled) => ExitCode::from(unsettled.code()),
        })
    }

    /// Takes of the disk what the attempt needs in order to begin, and in order to end.
    fn prepare(&self) -> Result<Ready, StoreError> {
        let scan = &self.task.scan;
        let paths = trash::reserves(&self.job, &scan.job_id, scan.repo_index, scan.attempt);
        let reserves = paths.iter().map(|it| Reserve::make(it)).collect::<Result<_, _>>()?;
        make_scratch(&self.scratch).map_err(StoreError::at("create", &self.scratch))?;
        let path = self.job.log(scan.repo_index);
        match log::Log::create(&path, &self.task).map_err(StoreError::at("create", path)) {
            Err(error) if is_full(&error) => Err(error),
            log => Ok(Ready { reserves, log }),
        }
    }

    /// Leaves nothing behind of an attempt that was not taken.
    fn clear_up(&self) {
        let _ = trash::remove_scratch(&self.scratch);
    }

    /// Runs the scanner to its end, and its tree of processes with it.
    fn scan(
        &self,
        settler: &Settler<'_>,
        orders: &watch::Orders,
        log: &Result<log::Log, StoreError>,
    ) -> Ending {
        let spawn_failure = |what: &str, error: &dyn std::error::Error| {
            let detail = format!("{what}: {}", crate::store::chain(error));
            Ending::NotStarted(Failure::new(FailureKind::Spawn, detail))
        };
        if let Err(error) = settler.write_starting() {
            return spawn_failure("cannot write the first status", &error);
        }
        if let Some(reason) = orders.given(&self.job, &self.task.scan) {
            return Ending::Ordered(reason);
        }
        let log = match log {
            Ok(log) => log,
            Err(error) => return spawn_failure("cannot create the log", &error.source),
        };
        let mut memory = MemoryWatch::begin();
        let ending = match Scanner::start(&self.task, log) {
            Err(error) => spawn_failure(&process::cannot_start(&self.task), &error),
            Ok(mut scanner) => {
                let ending =
                    watch::until_the_end(&mut scanner, &self.task, &self.job, settler, orders);
                scanner.end_tree(log);
                let ending =
                    cause::of(ending, scanner.pid(), &self.task, &mut memory, &log.stderr_tail());
                cause::with_disk(ending, &self.task, self.job.staging())
            }
        };
        settler.keep_stderr(log.stderr_tail());
        ending
    }
}

/// What an attempt has of the disk before it is taken.
struct Ready {
    reserves: Vec<Reserve>,
    /// A scanner may have put something in its place that cannot be opened: that ends the attempt.
    log: Result<log::Log, StoreError>,
}

fn make_scratch(path: &Path) -> std::io::Result<()> {
    let make = || DirBuilder::new().mode(0o700).create(path);
    match make() {
        // Left by a shim of this very attempt that died before it could claim it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            trash::remove_scratch(path).map_err(|it| it.source)?;
            make()
        }
        other => other,
    }
}
