//! The built-in scanner: the whole life of one process that scans one repository.
//!
//! ```text
//! task (stdin) ─► gate, addresses ─► git fetch ─► tree ─► parsers ─► results/repo_N.json
//!                 └────────── Reporter: repo_N.json, at every step ──────────┘
//! ```
//!
//! Input: one line of JSON on standard input. Output: the status file while it
//! works, the result file before the last status, and a log on standard error.
//!
//! Invariants: blocking code in a process of its own, that knows no server; whatever a
//! repository, its server or a parser does, there is one final status with a named cause; what
//! comes from outside is never run, followed or checked out.

mod by_hand;
mod error;
pub mod escape;
mod git;
mod infrastructure;
mod isolation;
mod local;
mod log;
mod reporter;
mod result;
#[cfg(any(test, fuzzing))]
mod sample;
mod scan;
mod session;
mod status;
mod stop;
mod text;

pub use by_hand::ByHand;
#[cfg(any(test, fuzzing))]
pub(crate) use git::fuzz as git_fuzz;
pub use session::Ending;
pub use stop::Stop;

use crate::{
    ecosystem::{self, Parser},
    model::task::ScanTask,
    sys::{self, cpu::CpuClock, memory::MemoryWatch},
};
use anyhow::{Context, ensure};
use isolation::Isolation;
use session::Means;
use std::{io::Read, process::ExitCode};

/// The most that is read of a task: a policy and categories of any sensible size.
const LONGEST_TASK: u64 = 16 << 20;
/// Exit code for a last status that could not be written (`EX_IOERR` of sysexits.h).
const UNWRITTEN: u8 = 74;

/// Reads the task: one line of JSON, then end of file.
///
/// # Errors
/// What is wrong with it; its content, which may be secret, is not repeated.
pub fn read_task(stdin: impl Read) -> anyhow::Result<ScanTask> {
    let mut text = String::new();
    stdin.take(LONGEST_TASK + 1).read_to_string(&mut text).context("reading the task")?;
    ensure!(text.len() as u64 <= LONGEST_TASK, "the task is longer than {LONGEST_TASK} bytes");
    let line = text.trim();
    ensure!(!line.is_empty(), "no task on standard input");
    // The message of serde_json may quote a value, and a value may be a password.
    let task: Result<ScanTask, _> = serde_json::from_str(line);
    task.map_err(|error| {
        anyhow::anyhow!("the task is not understood, at column {} of its line", error.column())
    })
}

/// Scans what the task names: the whole job of a scanner's process.
///
/// 0 after a last status `completed`, 1 after `failed`, 74 where the last status could not be
/// written, 128 + n where signal n ended it.
#[expect(clippy::needless_pass_by_value, reason = "it is the last that this process does")]
pub fn run(task: ScanTask) -> ExitCode {
    sys::be_called(c"scanwatch-scan");
    // Opened before the sandbox closes the kernel's files.
    let (memory, cpu) = (MemoryWatch::begin(), CpuClock::begin());
    // While there is one thread: it binds that one, and what it starts.
    let isolation = isolation::enter(&task);
    // Without it the usual effect of a signal stays, and the shim does the rest.
    let stop = Stop::on_signals().unwrap_or_default();
    let means = Means { parser_for: ecosystem::parser_for, stop: &stop, memory, cpu, isolation };
    match session::perform(&task, means) {
        Ending::Completed => ExitCode::SUCCESS,
        Ending::Failed => ExitCode::FAILURE,
        Ending::Unwritten(_) => ExitCode::from(UNWRITTEN),
        Ending::Stopped(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
    }
}

/// Scans what the task names with parsers of the caller's choice, in this process as it is.
pub fn scan(
    task: &ScanTask,
    parser_for: fn(&str) -> Option<&'static dyn Parser>,
    stop: &Stop,
) -> Ending {
    let (memory, cpu) = (MemoryWatch::begin(), CpuClock::begin());
    let means = Means { parser_for, stop, memory, cpu, isolation: Isolation::default() };
    session::perform(task, means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_one_line_of_json() {
        let task = sample::task(std::path::Path::new("/work"), "https://h.example/a.git");
        let line = serde_json::to_string(&task).unwrap() + "\n";
        assert_eq!(read_task(line.as_bytes()).unwrap(), task);
    }

    #[test]
    fn what_is_no_task_is_refused_without_being_repeated() {
        for text in ["", "\n", "{}", "{\"credentials\":\"hunter22\"}", "hunter22", "{} {}"] {
            let error = format!("{:#}", read_task(text.as_bytes()).unwrap_err());
            assert!(!error.contains("hunter22"), "{error}");
        }
        let error = read_task(std::io::repeat(b' ')).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
