//! Finding and killing the processes of one test, and never any other.
//!
//! A process belongs to a test if its command line or its environment holds one of the test's
//! marks: the test's folder, which no other test has, or the id of a job in it.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use scanwatch::{model::task::TRACKING_VARIABLE, sys};
use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// The processes that carry one of the marks, except this one.
pub(crate) fn carrying(marks: &[String]) -> Vec<u32> {
    let me = std::process::id();
    let numbers = fs::read_dir("/proc").expect("there is a /proc").flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != me && carries(*pid, marks))
        .collect()
}

/// Whether a process is alive: it exists and is not a zombie.
pub(crate) fn lives(pid: u32) -> bool {
    stat(pid).first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// The session of a process; 0 if its leader is not visible from this pid namespace, a value that
/// rustix's `getsid` does not expect.
pub(crate) fn session_of(pid: u32) -> Option<u32> {
    stat(pid).get(3)?.parse().ok()
}

/// How much processor time a process has used so far, in all its threads.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let ticks =
        |field: usize| stat(pid).get(field).and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    // In hundredths of a second, on every Linux.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

/// How much memory a process has resident.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// How often the first thread of a process has gone to sleep so far.
pub(crate) fn times_asleep(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Whether a process leads a group, in a session that another one leads: as a shim's scanner does,
/// and nothing else that a scanner starts.
pub(crate) fn leads_a_group(pid: u32) -> bool {
    let stat = stat(pid);
    let own = pid.to_string();
    stat.get(2) == Some(&own) && stat.get(3) != Some(&own)
}

/// The fields of `/proc/PID/stat` from the state on; nothing if the process does not exist.
fn stat(pid: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may contain spaces and parentheses.
    let (_, fields) = line.rsplit_once(')').unwrap_or_default();
    fields.split_ascii_whitespace().map(str::to_owned).collect()
}

/// The memory of a process that is in use, in KiB.
pub(crate) fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What a process was started with: arguments and environment, for messages.
pub(crate) fn describe(pid: u32) -> String {
    let Some(process) = Process::of(pid) else { return format!("{pid}: gone by now") };
    let Process { parent, words, attempt, .. } = process;
    let since = stat(pid).get(19).cloned().unwrap_or_default();
    format!("{pid}: {} (below {parent}, of {attempt:?}, since tick {since})", words.join(" "))
}

/// Sends a signal to a process that still carries one of the marks.
pub(crate) fn signal(pid: u32, marks: &[String], signal: Signal) {
    let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // The descriptor first: what is checked afterwards is what will be signalled.
    let Ok(descriptor) = pidfd_open(named, PidfdFlags::empty()) else { return };
    if carries(pid, marks) {
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

/// Kills the holder of a shim's lock in a test's own folder.
pub(crate) fn kill_lock_holder(lock: &Path) -> Option<u32> {
    let holder = scanwatch::store::lock::holder(lock).ok().flatten()?;
    let _ = pidfd_send_signal(&holder.pidfd, Signal::KILL);
    Some(holder.pid)
}

/// Kills a process of a private namespace, whichever it is.
pub(crate) fn kill_any(pid: u32) {
    let Some(named) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(descriptor) = pidfd_open(named, PidfdFlags::empty()) {
        let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    }
}

/// A process, by a descriptor that is opened before anything is read about it: what was read
/// belongs to the process that a signal will reach, or to none.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The kernel's name for it: the first letters of its program's name.
    pub(crate) name: String,
    /// Its arguments.
    pub(crate) words: Vec<String>,
    /// The attempt that it belongs to, by its mark.
    pub(crate) attempt: Option<String>,
    descriptor: OwnedFd,
}

impl Process {
    /// A process by its number; `None` if no live one has it.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let descriptor = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty());
        let descriptor = descriptor.ok()?;
        let parent = stat(pid).get(1)?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned();
        let words = parts(pid, "cmdline");
        let attempt = parts(pid, "environ").into_iter().find_map(|variable| {
            variable.strip_prefix(TRACKING_VARIABLE)?.strip_prefix('=').map(str::to_owned)
        });
        let process = Self { pid, parent, name, words, attempt, descriptor };
        process.lives().then_some(process)
    }

    /// Every visible process.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(Self::of).collect()
    }

    /// Whether it has not ended yet.
    pub(crate) fn lives(&self) -> bool {
        // The descriptor is readable once its process has ended, reaped or not.
        !sys::wait_readable([self.descriptor.as_fd()], Duration::ZERO).is_ok_and(|[ended]| ended)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.descriptor, signal);
    }

    /// Waits until it has ended; whether it has within this time.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        sys::wait_readable([self.descriptor.as_fd()], patience).is_ok_and(|[ended]| ended)
    }

    /// Stops it, and waits until each of its threads is stopped; returns whether that happened.
    pub(crate) fn stop(&self) -> bool {
        self.signal(Signal::STOP);
        let patience = Instant::now() + Duration::from_secs(10);
        while self.lives() && Instant::now() < patience {
            if threads(self.pid).iter().all(|state| state == "T") {
                return self.lives();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

/// The states of a process's threads.
pub(crate) fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|entry| state_in(&entry.path().join("stat"))).collect()
}

/// The names of a process's threads, sorted.
pub(crate) fn thread_names(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

fn state_in(stat: &Path) -> Option<String> {
    let line = fs::read_to_string(stat).ok()?;
    let (_, fields) = line.rsplit_once(')')?;
    fields.split_ascii_whitespace().next().map(str::to_owned)
}

/// A list of texts as in /proc: each ended by a NUL.
fn parts(pid: u32, name: &str) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let texts =
        bytes.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

fn carries(pid: u32, marks: &[String]) -> bool {
    ["cmdline", "environ"].iter().any(|name| {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        marks.iter().any(|mark| text.contains(mark.as_str()))
    })
}
