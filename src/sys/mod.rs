//! Calls that only Linux has, behind plain functions: signals by process descriptor, orphans,
//! groups, what lies in /proc, and which addresses are this machine's.
//!
//! Invariants: no process is signalled by a number that might meanwhile be another's.
//! A number is used only for a child of ours that has not been reaped, or turned into a
//! descriptor first and checked again.

pub mod cgroup;
pub mod cpu;
pub mod manager;
pub mod memory;
pub mod sandbox;

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        DumpableBehavior, Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions,
        kill_process_group, pidfd_open, pidfd_send_signal, set_child_subreaper,
        set_dumpable_behavior, setpriority_process, setrlimit, setsid, wait,
    },
    time::{ClockId, clock_gettime},
};
use std::{
    ffi::CStr,
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// Of -1000 to 1000; a server has 0.
const SCANNERS_FIRST: &str = "500";
/// Of -20 to 19; the usual one is 0.
const YIELDING: i32 = 10;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    Exited(i32),
    Signalled(i32),
}

/// What ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM: it may clean up.
    Ask,
    /// SIGKILL.
    Force,
}

impl Ending {
    fn signal(self) -> Signal {
        match self {
            Self::Ask => Signal::TERM,
            Self::Force => Signal::KILL,
        }
    }
}

/// Leaves the session and the group of whoever started this process, so that a signal to
/// theirs (Ctrl-C, a closed terminal) does not reach it.
pub fn lead_own_session() {
    // Fails only for a process that leads a group already: then there is nothing to leave.
    let _ = setsid();
}

/// Whether an address is one of this machine's own. Nothing is sent to learn it: a socket that is
/// told its peer has a route, and on the way to itself a machine calls itself as it is called.
pub fn is_own_address(address: IpAddr) -> bool {
    let anywhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((anywhere, 0)) else { return false };
    // The port is that of "discard"; without a route there is no way there at all.
    socket.connect((address, 9)).is_ok()
        && socket.local_addr().is_ok_and(|here| here.ip() == address)
}

/// Whether whoever started this process lets it ignore a signal, as nohup(1) does. To be asked
/// before anything listens for it.
pub fn was_started_ignoring(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or(0);
    // Signals are counted from 1.
    ignored.checked_shr(signal.unsigned_abs().saturating_sub(1)).unwrap_or(0) & 1 == 1
}

/// Makes orphans below this process its children instead of init's (prctl(2),
/// `PR_SET_CHILD_SUBREAPER`), so that none escapes by `setsid`.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// What `ps`, `top` and the kernel's log call this process; a program that is started by
/// /proc/self/exe is called `exe` otherwise. At most 15 bytes are kept.
pub fn be_called(name: &CStr) {
    // Nothing depends on it.
    let _ = rustix::thread::set_name(name);
}

/// Closes this process's memory and environment to others, those of the same user included, and
/// to core files (prctl(2), `PR_SET_DUMPABLE`): there are secrets in them.
pub fn keep_memory_to_ourselves() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Has the kernel, should memory run out, take this process rather than one of the server's
/// (proc(5), `oom_score_adj`). A number that is not yet reaped by its parent, the caller, is its own.
pub fn offer_to_memory_killer(child: u32) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{child}/oom_score_adj"))?
        .write_all(SCANNERS_FIRST.as_bytes())
}

/// Runs `spawn` in a thread that yields to others, so that what it starts does so from its first
/// instant on, and this process does not.
pub fn yielding<T: Send>(spawn: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let yielding =
            thread::Builder::new().name("spawn".to_owned()).spawn_scoped(scope, || {
                // Of a thread, on Linux. Failing leaves the usual priority.
                let _ = setpriority_process(None, YIELDING);
                spawn()
            })?;
        yielding.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
    })
}

/// No core files from here on, for this process and its children: they would hold secrets.
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Descriptors that this process inherited or opened so far are closed in what it starts.
pub fn keep_descriptors_to_ourselves() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// Time since the machine was started, sleep included: nobody can set it.
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is ever negative here.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// As many descriptors as the administrator allows: the soft limit is often 1,024.
pub fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Failing leaves the limit as it was, which is what would have been used anyway.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// A descriptor of a process; it goes on meaning that process when the number is used again.
pub fn open_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
}

/// Signals a process by its descriptor. One that is gone already is fine.
pub fn end_process(process: impl AsFd, ending: Ending) -> io::Result<()> {
    match pidfd_send_signal(process, ending.signal()) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Signals the group that an unreaped child of ours leads. One that is gone is fine.
pub fn end_group(leader: u32, ending: Ending) -> io::Result<()> {
    match kill_process_group(pid_of(leader)?, ending.signal()) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reaps one dead child. `Ok(None)`: children live, none is dead. `Err` with `ECHILD`: no
/// children are left.
pub fn reap_one() -> io::Result<Option<(u32, ChildEnd)>> {
    let Some((pid, status)) = wait(WaitOptions::NOHANG)? else {
        return Ok(None);
    };
    let end = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ChildEnd::Exited(code),
        (None, Some(signal)) => ChildEnd::Signalled(signal),
        (None, None) => return Ok(None),
    };
    Ok(Some((pid.as_raw_nonzero().get().cast_unsigned(), end)))
}

/// Waits until one of the descriptors can be read, or for `patience`. Says which can.
pub fn wait_readable<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    patience: Duration,
) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN));
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(polled.map(|it| !it.revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

/// The children of this process, by /proc. Their numbers stay theirs until they are reaped.
pub fn children() -> Vec<u32> {
    let me = std::process::id();
    processes().filter(|pid| parent_of(*pid) == Some(me)).collect()
}

/// What a process was started with.
#[derive(Debug)]
pub struct Started {
    /// Its arguments.
    pub words: Vec<String>,
    /// The value of the variable that was asked for.
    pub mark: Option<String>,
}

/// Ends, by SIGKILL, every process that is meant, with what these start meanwhile, and waits until
/// they are gone: until then they may still finish what they are writing. Says how many there were.
///
/// `variable` is what marks them in their environment.
pub fn end_all(variable: &str, patience: Duration, is_meant: impl Fn(&Started) -> bool) -> usize {
    let until = Instant::now() + patience;
    let mut ended = 0;
    loop {
        // The descriptor is opened before anything is read, and both are of the same process.
        let found: Vec<OwnedFd> = processes()
            .filter_map(|pid| Some((pid, open_process(pid).ok()?)))
            .filter(|(pid, _)| started(*pid, variable).is_some_and(|it| is_meant(&it)))
            .map(|(_, process)| process)
            .collect();
        if found.is_empty() || Instant::now() >= until {
            return ended;
        }
        // All in one go: whoever sees another one die must not live to say so.
        for process in &found {
            let _ = end_process(process, Ending::Force);
        }
        ended += found.len();
        for process in &found {
            let left = until.saturating_duration_since(Instant::now());
            let _ = wait_readable([process.as_fd()], left);
        }
    }
}

/// What a process was started with, by /proc. The words come first: one that is between fork and
/// exec has those of its parent, and whatever it becomes has the mark.
fn started(pid: u32, variable: &str) -> Option<Started> {
    let words = texts(pid, "cmdline")?;
    let mark = texts(pid, "environ")?.into_iter().find_map(|entry| {
        let (name, value) = entry.split_once('=')?;
        (name == variable).then(|| value.to_owned())
    });
    Some(Started { words, mark })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fourth field of /proc/PID/stat (proc(5)).
fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process has been stopped by a signal (SIGSTOP, say): it does nothing until SIGCONT.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|it| it.starts_with('T'))
}

/// For how long a process has been running, time in which the machine slept included.
pub fn age_of(pid: u32) -> Option<Duration> {
    // The 22nd field; ticks are hundredths of a second on every Linux that there is.
    let ticks: u64 = stat(pid)?.split_whitespace().nth(19)?.parse().ok()?;
    Some(since_boot().saturating_sub(Duration::from_millis(ticks.saturating_mul(10))))
}

/// /proc/PID/stat from its third field on; the second is in brackets and may hold blanks.
fn stat(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')').map(|(_, rest)| rest.trim_start().to_owned())
}

/// The arguments of a process; empty where they cannot be read.
pub fn words_of(pid: u32) -> Vec<String> {
    texts(pid, "cmdline").unwrap_or_default()
}

/// A list of texts as /proc has it, each ended by a NUL.
fn texts(pid: u32, name: &str) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
    let texts = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    Some(texts.map(std::borrow::Cow::into_owned).collect())
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a process id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_meanwhile_is_ended_too_and_gone_then() {
        const VARIABLE: &str = "SCANWATCH_TEST_MARK";
        let own = format!("breeder-{}", std::process::id());
        // Whoever looks once misses those that are born between the look and the kill.
        #[expect(clippy::disallowed_methods, reason = "a process that the test is about")]
        let mut breeder = std::process::Command::new("sh")
            .args(["-c", "while :; do sleep 99 & sleep 99 & sleep 0.001; done"])
            .env(VARIABLE, &own)
            .spawn()
            .unwrap();
        let is_meant = |it: &Started| it.mark.as_ref() == Some(&own);
        let find = || processes().filter_map(|it| started(it, VARIABLE)).filter(is_meant).count();
        while find() < 20 {
            std::thread::yield_now();
        }
        assert!(end_all(VARIABLE, Duration::from_secs(30), is_meant) > 0);
        assert_eq!(find(), 0);
        breeder.wait().unwrap();
    }
}
