//! Why a scanner died that was not ended by its shim: what the signal alone does not say.
//!
//! Input: the signal, the kernel's evidence, the last words. Output: the same ending, or
//! one with its cause. Invariants: without evidence a death is a signal and nothing more.

use super::watch::Ending;
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

/// A disk with less free than this is full: what was set aside for the final states of other scans may
/// have been given back since.
const FULL: u64 = 1 << 20;

/// Finds out why a scanner has died.
pub(super) fn of(
    ending: Ending,
    scanner: u32,
    task: &ShimTask,
    memory: &mut MemoryWatch,
    last_words: &str,
) -> Ending {
    let Ending::Ended(end @ ChildEnd::Signalled(signal)) = ending else {
        return ending;
    };
    if signal == SIGKILL && memory.has_killed(Victim::Process(scanner)) {
        let detail = "Process killed by the kernel for want of memory (SIGKILL)".to_owned();
        return Ending::OutOfMemory { end, detail };
    }
    // What other programs set themselves, and mean by it, is theirs.
    if !task.command.is_empty() {
        return ending;
    }
    let limits = &task.scan.limits;
    match signal {
        SIGABRT if was_refused_memory(last_words) => {
            let (data, all) = (limits.max_data_bytes, limits.max_memory_bytes);
            let detail = format!(
                "The scanner ran out of memory; it may fill {data} bytes ([limits] max_data_bytes) \
                 and address {all} (max_memory_bytes)"
            );
            Ending::OutOfMemory { end, detail }
        }
        SIGXCPU => {
            let most = limits.max_cpu_secs;
            let detail = format!(
                "The scanner used more than {most} seconds of processor time ([limits] max_cpu_secs)"
            );
            Ending::Limited { end, detail }
        }
        SIGXFSZ => {
            let most = limits.max_fetch_bytes;
            let detail = format!(
                "The scanner wrote a file of more than {most} bytes ([limits] max_fetch_bytes)"
            );
            Ending::Limited { end, detail }
        }
        _ => ending,
    }
}

/// A scanner that gave up on a disk that is full: the disk is named, where its own status could not.
pub(super) fn with_disk(ending: Ending, task: &ShimTask, staging: &Path) -> Ending {
    let Ending::Ended(ChildEnd::Exited(code @ 1..)) = ending else { return ending };
    let Some(free) = space::free_bytes(staging).filter(|it| *it < FULL) else { return ending };
    let limit = task.scan.limits.max_fetch_bytes;
    let detail = format!(
        "Process exited with code {code}: the disk of the jobs folder is full ({free} bytes free), and \
         a fetch may take {limit} ([limits] max_fetch_bytes); make room, or lower the limit"
    );
    Ending::DiskFull { code, detail }
}

/// The words of Rust's runtime, which aborts then (`std::alloc::handle_alloc_error`).
fn was_refused_memory(last_words: &str) -> bool {
    last_words.lines().rev().take(3).any(|line| {
        line.strip_prefix("memory allocation of ").is_some_and(|rest| rest.contains("bytes failed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_memory_are_those_of_the_runtime_alone() {
        assert!(was_refused_memory("2030-01-01 INFO x\nmemory allocation of 77 bytes failed\n"));
        assert!(!was_refused_memory("parsing memory allocation of 77 bytes failed"));
        assert!(!was_refused_memory("memory allocation of 77 bytes failed\na\nb\nc"));
    }
}
