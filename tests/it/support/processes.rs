//! Finding and ending the processes of one test, and never any other.
//!
//! A process belongs to a test if its command line or its environment holds one of the test's
//! marks: the test's folder, which no other test has, or the id of a job in it.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{fs, path::Path, time::Duration};

/// The processes that carry one of the marks, but for this one.
pub(crate) fn carrying(marks: &[String]) -> Vec<u32> {
    let me = std::process::id();
    let numbers = fs::read_dir("/proc").expect("there is a /proc").flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != me && carries(*pid, marks))
        .collect()
}

/// Whether a process lives: there is one, and it is no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// The session that a process is in; 0 if its leader is not to be seen from this namespace of
/// processes, which `getsid` of rustix does not expect.
pub(crate) fn session_of(pid: u32) -> Option<u32> {
    stat(pid).get(3)?.parse().ok()
}

/// How much time of processors a process has used so far, in all its threads.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let ticks = |field: usize| stat(pid).get(field).and_then(|it| it.parse().ok()).unwrap_or(0_u64);
    // In hundredths of a second, on every Linux that there is.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// How much memory a process has resident.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|it| it.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// What `/proc/PID/stat` says from the state on; nothing of a process that is not there.
fn stat(pid: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may hold blanks and brackets of its own.
    let (_, fields) = line.rsplit_once(')').unwrap_or_default();
    fields.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The memory of a process that is in use, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = text.lines().find_map(|it| it.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What a process was started with: arguments and environment, for messages.
pub(crate) fn describe(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid}: {}", String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// Sends a signal to a process that still carries one of the marks.
pub(crate) fn signal(pid: u32, marks: &[String], signal: Signal) {
    let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // The descriptor first: what is looked at afterwards is what will be signalled.
    let Ok(descriptor) = pidfd_open(named, PidfdFlags::empty()) else { return };
    if carries(pid, marks) {
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

/// Ends the holder of a shim's lock in a test's own folder.
pub(crate) fn kill_lock_holder(lock: &Path) -> Option<u32> {
    let holder = scanwatch::store::lock::holder(lock).ok().flatten()?;
    let _ = pidfd_send_signal(&holder.pidfd, Signal::KILL);
    Some(holder.pid)
}

/// Ends a process of a namespace that is the test's own, whoever it is.
pub(crate) fn kill_anyhow(pid: u32) {
    let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(descriptor) = pidfd_open(named, PidfdFlags::empty()) {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

fn carries(pid: u32, marks: &[String]) -> bool {
    ["cmdline", "environ"].iter().any(|name| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        marks.iter().any(|mark| text.contains(mark.as_str()))
    })
}
