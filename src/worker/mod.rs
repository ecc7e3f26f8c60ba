//! The built-in scanner: a process that scans one repository.
//!
//! ```text
//! task (stdin) ─► gate, addresses ─► git fetch ─► tree ─► parsers ─► results/repo_N.json
//!                 └────────── Reporter: repo_N.json, at every step ──────────┘
//! ```
//!
//! Input: one line of JSON on standard input. Output: the status file during the scan, the result
//! file before the final status, and a log on standard error.
//!
//! Invariants: blocking code in a process of its own that needs no server; whatever a repository,
//! its server or a parser does, there is one final status with a named cause; foreign content is
//! never executed, followed or checked out.

mod error;
mod git;
mod infrastructure;
mod isolation;
mod limits;
mod local;
mod log;
mod reporter;
mod result;
#[cfg(any(test, fuzzing))]
mod sample;
pub mod sandbox_self_test;
mod scan;
mod session;
mod standalone;
mod status;
mod stop;
mod text;
mod tree;

#[cfg(any(test, fuzzing))]
pub(crate) use git::fuzz as git_fuzz;
pub use session::ScanEnd;
pub use standalone::Standalone;
pub use stop::Stop;

use crate::{
    ecosystem::{self, Parser},
    model::task::ScanTask,
    sys::{self, cpu::CpuClock, memory::MemoryWatch},
};
use anyhow::{Context, ensure};
use isolation::Isolation;
use session::Resources;
use std::{io::Read, process::ExitCode};

/// The size limit of a task: a policy and categories of any sensible size.
const LONGEST_TASK: u64 = 16 << 20;
/// The exit code if the final status could not be written (`EX_IOERR` of sysexits.h).
const UNWRITTEN: u8 = 74;

/// Reads the task: one line of JSON, then end of file.
///
/// # Errors
/// What is wrong with the task; its content, which may be secret, is not repeated.
pub fn read_task(stdin: impl Read) -> anyhow::Result<ScanTask> {
    let mut text = String::new();
    stdin.take(LONGEST_TASK + 1).read_to_string(&mut text).context("reading the task")?;
    ensure!(text.len() as u64 <= LONGEST_TASK, "the task is longer than {LONGEST_TASK} bytes");
    let line = text.trim();
    ensure!(!line.is_empty(), "no task on standard input");
    // The message of serde_json may quote a value, which may be a password.
    let task: Result<ScanTask, _> = serde_json::from_str(line);
    task.map_err(|error| {
        anyhow::anyhow!("the task is not valid, at column {} of its line", error.column())
    })
}

/// Runs the scan of a task: the whole life of a scanner process.
///
/// The exit code is 0 after the final status `completed` and if nothing has changed, 1 after `failed`, 74 if the final status
/// could not be written, 128 + n if signal n stopped the scan.
#[expect(clippy::needless_pass_by_value, reason = "the last call of this process")]
pub fn run(task: ScanTask) -> ExitCode {
    sys::set_process_name(c"scanwatch-scan");
    // Opened before the sandbox closes the kernel's files.
    let (memory, cpu) = (MemoryWatch::begin(), CpuClock::begin());
    // While there is a single thread, because the sandbox binds that thread and its children.
    let isolation = isolation::enter(&task);
    // Without handlers a signal has its default effect, and the shim does the rest.
    let stop = Stop::on_signals().unwrap_or_default();
    let resources =
        Resources { parser_for: ecosystem::parser_for, stop: &stop, memory, cpu, isolation };
    match session::perform(&task, resources) {
        ScanEnd::Completed | ScanEnd::Unchanged => ExitCode::SUCCESS,
        ScanEnd::Failed => ExitCode::FAILURE,
        ScanEnd::Unwritten(_) => ExitCode::from(UNWRITTEN),
        ScanEnd::Stopped(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
    }
}

/// Scans a task with the caller's parsers, in this process without a sandbox.
pub fn scan(
    task: &ScanTask,
    parser_for: fn(&str) -> Option<&'static dyn Parser>,
    stop: &Stop,
) -> ScanEnd {
    let (memory, cpu) = (MemoryWatch::begin(), CpuClock::begin());
    let resources = Resources { parser_for, stop, memory, cpu, isolation: Isolation::default() };
    session::perform(task, resources)
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
    fn an_invalid_task_is_refused_without_being_repeated() {
        for text in ["", "\n", "{}", "{\"credentials\":\"hunter22\"}", "hunter22", "{} {}"] {
            let error = format!("{:#}", read_task(text.as_bytes()).unwrap_err());
            assert!(!error.contains("hunter22"), "{error}");
        }
        let error = read_task(std::io::repeat(b' ')).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
