//! Finds out whether the kernel killed a process because memory ran out, by the kernel's evidence.
//!
//! Input: the moment at which the watch was created. Output: evidence for the death of one process.
//! SIGKILL alone is none: an operator sends the same.
//!
//! Invariants: two sources must agree if both are available. The counter of the memory control
//! group (`oom_kill` of `memory.events` in cgroup v2, of `memory.oom_control` in v1) says that some
//! process of the group was killed since the start; the kernel's log says which. The log uses pids
//! of the initial pid namespace, and may be closed to this user: then the counter alone decides.

use super::cgroup;
use rustix::fs::OFlags;
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    thread,
    time::{Duration, Instant},
};

/// The inode of the initial pid namespace (`PROC_PID_INIT_INO` in the kernel's `proc_ns.h`).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// The kernel counts before it kills, and logs afterwards.
const LOG_PATIENCE: Duration = Duration::from_millis(500);
/// Longer than any record of the kernel's log (`PRINTK_MESSAGE_MAX` and its header).
const LONGEST_RECORD: usize = 8 << 10;

/// Watches from the moment of its creation. Everything is opened then, so that it can be used
/// inside a sandbox.
#[derive(Debug)]
pub struct MemoryWatch {
    counter: Option<Counter>,
    log: Option<File>,
}

#[derive(Debug)]
struct Counter {
    file: File,
    at_first: u64,
}

/// The process that may have been killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim<'a> {
    Process(u32),
    /// Any process whose name starts with this: more is not known of a grandchild.
    Named(&'a str),
}

impl MemoryWatch {
    /// Starts to watch. A source that cannot be opened gives no evidence.
    pub fn begin() -> Self {
        Self { counter: Counter::begin(), log: kernel_log() }
    }

    /// Whether the kernel killed this process because memory ran out since the start.
    pub fn has_killed(&mut self, victim: Victim<'_>) -> bool {
        let counted = self.counter.as_mut().map(Counter::has_grown);
        match (counted, &mut self.log) {
            (Some(false), _) | (None, None) => false,
            (Some(true), None) => true,
            (_, Some(log)) => {
                let patience = Instant::now() + LOG_PATIENCE;
                loop {
                    if names(log, victim) {
                        return true;
                    }
                    // Without a counter there is no sign that a record is still to come.
                    if counted.is_none() || Instant::now() >= patience {
                        return false;
                    }
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}

impl Counter {
    fn begin() -> Option<Self> {
        let path = cgroup::memory_counter()?;
        let mut file = File::open(path).ok()?;
        let at_first = read(&mut file)?;
        Some(Self { file, at_first })
    }

    fn has_grown(&mut self) -> bool {
        read(&mut self.file).is_some_and(|now| now > self.at_first)
    }
}

/// The line `oom_kill N`, which is the same in both versions.
fn read(file: &mut File) -> Option<u64> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// /dev/kmsg, positioned at its end, if it is readable and uses the pids that this process sees.
fn kernel_log() -> Option<File> {
    if fs::metadata("/proc/self/ns/pid").ok()?.ino() != FIRST_PID_NAMESPACE {
        return None;
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    log.seek(SeekFrom::End(0)).ok()?;
    Some(log)
}

/// Reads the log one record at a time until a record names the victim.
fn names(log: &mut File, victim: Victim<'_>) -> bool {
    let mut record = vec![0; LONGEST_RECORD];
    loop {
        match log.read(&mut record) {
            Ok(0) => return false,
            Ok(length) => {
                if is_about(&String::from_utf8_lossy(&record[..length]), victim) {
                    return true;
                }
            }
            // EPIPE: older records were overwritten; the next read continues after them.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(_) => return false,
        }
    }
}

/// Reads `3,870,5140900000,-;Memory cgroup out of memory: Killed process 77 (git) total-vm:…`
/// (`__oom_kill_process` in the kernel's `mm/oom_kill.c`).
fn is_about(record: &str, victim: Victim<'_>) -> bool {
    let named = || {
        let (_, message) = record.split_once(';')?;
        let (cause, rest) = message.split_once("Killed process ")?;
        let cause = cause.to_ascii_lowercase();
        // A process name, which may contain anything, follows the pid and never precedes it.
        if !(cause.is_empty() || cause.ends_with("out of memory: ")) {
            return None;
        }
        let (pid, rest) = rest.split_once(" (")?;
        Some(match victim {
            Victim::Process(wanted) => pid.trim_end_matches(',').parse() == Ok(wanted),
            Victim::Named(name) => rest.starts_with(name),
        })
    };
    named().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_log_is_parsed() {
        let ours =
            "3,870,51409,-;Memory cgroup out of memory: Killed process 77 (git) total-vm:9kB";
        assert!(is_about(ours, Victim::Process(77)));
        assert!(is_about(ours, Victim::Named("git")));
        assert!(!is_about(ours, Victim::Process(7)) && !is_about(ours, Victim::Named("gitx")));
        assert!(is_about(
            "3,1,2,-;Out of memory: Killed process 77 (x) total-vm:9kB",
            Victim::Process(77)
        ));
        for other in [
            "6,869,51409,-;oom-kill:constraint=CONSTRAINT_MEMCG,task=git,pid=77,uid=0",
            "6,1,2,-;x (Killed process 77 (git)",
            "6,1,2,-;a program says: Killed process 77 (git)",
            "Killed process 77 (git)",
            "",
        ] {
            assert!(!is_about(other, Victim::Process(77)), "{other}");
        }
    }

    #[test]
    fn a_running_process_was_not_killed_because_memory_ran_out() {
        let mut watch = MemoryWatch::begin();
        assert!(!watch.has_killed(Victim::Process(std::process::id())));
    }
}
