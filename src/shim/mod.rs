//! The process between server and scanner, one per attempt: a small blocking program, so that a
//! scan needs no server to end well and loses nothing when the server dies.
//!
//! What flows in: one [`ShimTask`] on standard input, and later perhaps SIGTERM (with an order
//! in a file). What flows out: a scanner process, its log, and the final state in `repo_N.json`
//! where the scanner did not write one.
//!
//! What must stay true:
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
        lock, trash,
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
    /// The end could not be written.
    CouldNotSettle = 78,
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
        (Err(_), _) | (_, Err(_)) => Ok(Exit::CouldNotBegin),
    };
    ExitCode::from(exit.unwrap_or(Exit::CouldNotBegin) as u8)
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

    fn run(self, orders: &watch::Orders) -> Result<Exit, StoreError> {
        sys::keep_descriptors_to_ourselves();
        let index = self.task.scan.repo_index;
        let Some(_lock) = lock::take(&self.job.lock(index))? else {
            return Ok(Exit::Busy);
        };
        let before = attempt::read(&self.job, index)?;
        if before.is_some_and(|record| record.attempt >= self.task.scan.attempt) {
            return Ok(Exit::Stale);
        }
        let record = AttemptRecord {
            schema: 1,
            attempt: self.task.scan.attempt,
            interruptions: self.task.interruptions,
            retries: self.task.retries,
            started_at: Utc::now(),
        };
        attempt::write(&self.job, index, &record)?;
        // The lock is held and the attempt taken: from here on every way out is settled.
        let settler = Settler::new(&self.task, &self.job);
        let ending = self.scan(&settler, orders);
        let settled = settler.settle(&ending);
        // A folder that stays is removed when the server settles or starts.
        let _ = trash::remove_scratch(&self.scratch);
        Ok(if settled.is_ok() { Exit::Over } else { Exit::CouldNotSettle })
    }

    /// Runs the scanner to its end, and its tree of processes with it.
    fn scan(&self, settler: &Settler<'_>, orders: &watch::Orders) -> Ending {
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
        let log = match log::Log::create(&self.job.log(self.task.scan.repo_index), &self.task) {
            Ok(log) => log,
            Err(error) => return spawn_failure("cannot create the log", &error),
        };
        if let Err(error) = make_scratch(&self.scratch) {
            return spawn_failure("cannot create the scratch folder", &error);
        }
        let mut memory = MemoryWatch::begin();
        let ending = match Scanner::start(&self.task, &log) {
            Err(error) => spawn_failure(&process::cannot_start(&self.task), &error),
            Ok(mut scanner) => {
                let ending =
                    watch::until_the_end(&mut scanner, &self.task, &self.job, settler, orders);
                scanner.end_tree(&log);
                cause::of(ending, scanner.pid(), &self.task, &mut memory, &log.stderr_tail())
            }
        };
        settler.keep_stderr(log.stderr_tail());
        ending
    }
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
