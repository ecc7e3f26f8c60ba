//! An element of a Slurm array: takes its task from the shared folder and becomes the shim of the attempt.
//!
//! Input: the folder, the name of the array, and the number of the element from Slurm's variables. Output: a shim with its
//! task on standard input, as on the server's machine; and at its end a mark for the server.
//!
//! Invariants: an element that cannot take its task ends without a trace; the task, with its credentials, is in no file and in
//! no variable any more once it was taken; a shim whose attempt the server has ended ends its scanner and writes nothing.

use super::Exit;
use crate::{
    model::{
        attempt::{AttemptRecord, RemoteAttempt},
        element::{ArrayName, ElementName, EndMark},
        task::{ElementTask, ShimTask},
    },
    store::elements::Elements,
    sys,
};
use std::{
    fs::File,
    io::{self, Seek, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// How often the end mark is tried, one second apart: the shared file system may be away.
const TRIES: usize = 60;

/// Runs an element: the whole of `scanwatch slurm-element`. Returns only if there is nothing to run.
pub fn run(folder: &Path, array: &str) -> ExitCode {
    let _ = sys::protect_memory();
    let variable = |name| std::env::var(name).unwrap_or_default();
    let index = variable("SLURM_ARRAY_TASK_ID").parse::<u32>();
    let (Ok(array), Ok(index)) = (array.parse::<ArrayName>(), index) else {
        return ExitCode::from(Exit::CouldNotBegin as u8);
    };
    let name = ElementName { array, index };
    match begin(&Elements::at(folder), &name, variable("SLURMD_NODENAME")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(Exit::CouldNotBegin as u8),
    }
}

/// Takes the task and becomes its shim; does nothing if there is no task to take.
fn begin(elements: &Elements, name: &ElementName, node: String) -> io::Result<()> {
    let Some(text) = elements.claim(name, node.as_bytes())? else { return Ok(()) };
    let mut task: ShimTask = serde_json::from_slice(&text)?;
    task.element = Some(ElementTask { name: name.clone(), node });
    let mut input = sys::private_file(c"scanwatch-task")?;
    input.write_all(&serde_json::to_vec(&task)?)?;
    input.rewind()?;
    Err(become_shim(&task, input))
}

/// Replaces this program by the shim; returns only an error.
#[expect(clippy::disallowed_methods, reason = "the one place that starts shims of Slurm")]
fn become_shim(task: &ShimTask, input: File) -> io::Error {
    let scan = &task.scan;
    Command::new("/proc/self/exe")
        .arg0("scanwatch")
        .arg("shim")
        .arg(scan.job_id.as_str())
        .arg(scan.repo_index.to_string())
        .arg(scan.attempt.to_string())
        .env_clear()
        .env("PATH", &task.path)
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .exec()
}

/// The element that a shim runs in.
#[derive(Debug, Clone)]
pub(super) struct Element {
    task: ElementTask,
    elements: Elements,
}

impl Element {
    pub(super) fn new(task: ElementTask, elements: Elements) -> Self {
        Self { task, elements }
    }

    /// Where the attempt runs, for its record.
    pub(super) fn remote(&self) -> RemoteAttempt {
        RemoteAttempt::of_element(self.task.name.clone(), Some(self.task.node.clone()))
    }

    /// Whether a record allows this element to begin the attempt: the server has written it for this element, and nobody has begun.
    pub(super) fn may_begin(&self, record: &AttemptRecord, attempt: u64) -> bool {
        let given = record.remote.as_ref().is_some_and(|remote| {
            remote.agent.is_none() && remote.element.as_ref() == Some(&self.task.name)
        });
        record.attempt < attempt || record.attempt == attempt && given
    }

    /// Whether the server has ended the attempt.
    pub(super) fn is_fenced(&self) -> bool {
        self.elements.has_ended(&self.task.name)
    }

    /// Reports how the shim exits.
    pub(super) fn end(&self, code: u8, terminated: bool) {
        let code = Some(code);
        let mark = EndMark { schema: 1, code, terminated, cause: None, detail: String::new() };
        for _ in 0..TRIES {
            if self.elements.end(&self.task.name, &mark).is_ok() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    }
}
