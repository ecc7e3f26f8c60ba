//! Classifies the death of a scanner that its shim did not kill: finds the cause that the signal
//! alone does not name.
//!
//! Input: the signal, the kernel's evidence, the end of stderr. Output: the same exit, or one with
//! its cause. Invariants: without evidence a death by signal stays a plain signal.

use super::verdict::RunEnd;
use crate::{
    model::task::ShimTask,
    store::space,
    sys::{
        ChildEnd,
        memory::{MemoryWatch, Victim},
    },
};
use signal_hook::consts::{SIGABRT, SIGKILL, SIGXCPU, SIGXFSZ};
use std::path::Path;

/// A disk with less free space than this counts as full. Space reserved for the final states of
/// other scans may have been released since.
const FULL: u64 = 1 << 20;

/// Finds out why a scanner died.
pub(super) fn of(
    ending: RunEnd,
    scanner: u32,
    task: &ShimTask,
    memory: &mut MemoryWatch,
    last_words: &str,
) -> RunEnd {
    let RunEnd::Ended(end @ ChildEnd::Signalled(signal)) = ending else {
        return ending;
    };
    if signal == SIGKILL && memory.has_killed(Victim::Process(scanner)) {
        let detail = "Process killed by the kernel because memory ran out (SIGKILL)".to_owned();
        return RunEnd::OutOfMemory { end, detail };
    }
    // A custom scanner may set its own limits, and its signals have their own meaning.
    if !task.command.is_empty() {
        return ending;
    }
    let limits = &task.scan.limits;
    match signal {
        SIGABRT if was_refused_memory(last_words) => {
            let (data, all) = (limits.max_data_bytes, limits.max_memory_bytes);
            let detail = format!(
                "The scanner ran out of memory: it may use {data} bytes ([limits] max_data_bytes) \
                 and {all} bytes of address space (max_memory_bytes)"
            );
            RunEnd::OutOfMemory { end, detail }
        }
        SIGXCPU => {
            let most = limits.max_cpu_secs;
            let detail = format!(
                "The scanner used more than {most} seconds of processor time ([limits] max_cpu_secs)"
            );
            RunEnd::Limited { end, detail }
        }
        SIGXFSZ => {
            let most = limits.max_fetch_bytes;
            let detail = format!(
                "The scanner wrote a file of more than {most} bytes ([limits] max_fetch_bytes)"
            );
            RunEnd::Limited { end, detail }
        }
        _ => ending,
    }
}

/// Names the full disk as the cause of a scanner's exit, which the scanner's own status could not
/// do.
pub(super) fn with_disk(ending: RunEnd, task: &ShimTask, staging: &Path) -> RunEnd {
    let RunEnd::Ended(ChildEnd::Exited(code @ 1..)) = ending else { return ending };
    let Some(free) = space::free_bytes(staging).filter(|free| *free < FULL) else { return ending };
    let limit = task.scan.limits.max_fetch_bytes;
    let detail = format!(
        "Process exited with code {code}: the disk of the jobs folder is full ({free} bytes free), and \
         a fetch may take {limit} ([limits] max_fetch_bytes); make room, or lower the limit"
    );
    RunEnd::DiskFull { code, detail }
}

/// The message of Rust's runtime before it aborts (`std::alloc::handle_alloc_error`).
fn was_refused_memory(last_words: &str) -> bool {
    last_words.lines().rev().take(3).any(|line| {
        line.strip_prefix("memory allocation of ").is_some_and(|rest| rest.contains("bytes failed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_runtimes_message_counts_as_out_of_memory() {
        assert!(was_refused_memory("2030-01-01 INFO x\nmemory allocation of 77 bytes failed\n"));
        assert!(!was_refused_memory("parsing memory allocation of 77 bytes failed"));
        assert!(!was_refused_memory("memory allocation of 77 bytes failed\na\nb\nc"));
    }
}
