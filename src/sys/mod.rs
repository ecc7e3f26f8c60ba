//! Linux-specific system calls behind plain functions: signals by pidfd, orphans, process groups,
//! /proc, and the addresses of this machine.
//!
//! Input: pids and descriptors. Output: facts and signals.
//!
//! Invariants: no process is signalled by a pid that may have been reused. A pid is used only for a
//! child that has not been reaped, or is turned into a pidfd and checked again.

pub mod cgroup;
pub mod cpu;
pub mod memory;
mod own_resources;
pub mod pressure;
pub mod sandbox;
pub mod service_manager;

pub use own_resources::{OwnResources, own_resources};

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

/// The `oom_score_adj` of scanners, from -1000 to 1000; a server has 0.
const SCANNERS_FIRST: &str = "500";
/// The nice value of scanners, from -20 to 19; the default is 0.
const YIELDING: i32 = 10;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    Exited(i32),
    Signalled(i32),
}

/// The signal that ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: the process may clean up.
    Term,
    /// SIGKILL.
    Kill,
}

impl StopSignal {
    fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Kill => Signal::KILL,
        }
    }
}

/// Leaves the session and process group of the parent, so that a signal to them (Ctrl-C, a closed
/// terminal) does not reach this process.
pub fn start_own_session() {
    // Fails only for a process that leads a group already, which has nothing to leave.
    let _ = setsid();
}

/// Whether an address belongs to this machine. Sends nothing: a connected UDP socket has a route,
/// and the route to an own address starts at that address.
pub fn is_own_address(address: IpAddr) -> bool {
    let anywhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let Ok(socket) = UdpSocket::bind((anywhere, 0)) else { return false };
    // The port is that of "discard". Without a route the address is unreachable.
    socket.connect((address, 9)).is_ok()
        && socket.local_addr().is_ok_and(|here| here.ip() == address)
}

/// Whether the parent made this process ignore a signal, as nohup(1) does. To be called before a
/// handler is installed.
pub fn inherits_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // Signals are numbered from 1.
    ignored.checked_shr(signal.unsigned_abs().saturating_sub(1)).unwrap_or(0) & 1 == 1
}

/// Makes this process the reaper of orphans below it (prctl(2), `PR_SET_CHILD_SUBREAPER`), so that
/// none escapes by `setsid`.
pub fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Sets the name of this process in `ps`, `top` and the kernel's log; a program that is started
/// through /proc/self/exe would be called `exe`. At most 15 bytes are kept.
pub fn set_process_name(name: &CStr) {
    // Nothing depends on it.
    let _ = rustix::thread::set_name(name);
}

/// A file in memory, which no other program sees.
///
/// # Errors
/// If the kernel refuses.
pub fn private_file(name: &CStr) -> io::Result<fs::File> {
    Ok(rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

/// Protects this process's memory and environment, which contain secrets, from other processes of
/// the same user and from core dumps (prctl(2), `PR_SET_DUMPABLE`).
pub fn protect_memory() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Makes the out-of-memory killer prefer this child to the server's processes (proc(5),
/// `oom_score_adj`). The caller has not reaped the child, so the pid cannot have been reused.
pub fn prefer_for_oom_kill(child: u32) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/{child}/oom_score_adj"))?
        .write_all(SCANNERS_FIRST.as_bytes())
}

/// Runs `spawn` on a thread with a lower priority, so that the new process inherits it from its
/// first instant and this process keeps its own.
pub fn with_low_priority<T: Send>(spawn: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let yielding =
            thread::Builder::new().name("spawn".to_owned()).spawn_scoped(scope, || {
                // On Linux the priority belongs to a thread. On failure the default priority
                // remains.
                let _ = setpriority_process(None, YIELDING);
                spawn()
            })?;
        yielding.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread panicked")))
    })
}

/// Disables core dumps for this process and its children, because they would contain secrets.
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?)
}

/// Marks all open descriptors close-on-exec.
pub fn close_descriptors_on_exec() {
    close_fds::set_fds_cloexec(3, &[]);
}

/// The time since boot, including sleep: unlike the clock, nobody can set it.
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // Neither value is ever negative here.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Raises the descriptor limit as far as allowed: the soft limit is often 1,024.
pub fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // On failure the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Opens a pidfd, which keeps naming the same process when the pid is reused.
pub fn open_process(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid_of(pid)?, PidfdFlags::empty())?)
}

/// Signals a process by its pidfd. Succeeds if the process is already gone.
pub fn signal_process(process: impl AsFd, stop: StopSignal) -> io::Result<()> {
    match pidfd_send_signal(process, stop.signal()) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Signals the process group that an unreaped child leads. Succeeds if the group is already gone.
pub fn signal_group(leader: u32, stop: StopSignal) -> io::Result<()> {
    match kill_process_group(pid_of(leader)?, stop.signal()) {
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reaps one dead child. `Ok(None)`: children live, none is dead. `Err` with `ECHILD`: no children
/// are left.
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

/// Waits until one of the descriptors is readable, at most for `patience`. Returns which are.
pub fn wait_readable<const N: usize>(
    descriptors: [BorrowedFd<'_>; N],
    patience: Duration,
) -> io::Result<[bool; N]> {
    let mut polled =
        descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    let timeout = Timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(polled.map(|entry| !entry.revents().is_empty())),
        Err(error) => Err(error.into()),
    }
}

/// The children of this process, from /proc. Their pids cannot be reused until they are reaped.
pub fn children() -> Vec<u32> {
    let me = std::process::id();
    processes().filter(|pid| parent_of(*pid) == Some(me)).collect()
}

/// The command line and the mark of a process.
#[derive(Debug)]
pub struct ProcessInfo {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The value of the requested variable.
    pub mark: Option<String>,
}

/// Kills every matching process and its new children by SIGKILL, and waits until they have exited:
/// before that they may still finish a write. Returns how many there were.
///
/// `variable` is the environment variable that marks them.
pub fn kill_all(
    variable: &str,
    patience: Duration,
    is_meant: impl Fn(&ProcessInfo) -> bool,
) -> usize {
    let until = Instant::now() + patience;
    let mut ended = 0;
    loop {
        // The pidfd is opened before anything is read, so both concern the same process.
        let found: Vec<OwnedFd> = processes()
            .filter_map(|pid| Some((pid, open_process(pid).ok()?)))
            .filter(|(pid, _)| info_of(*pid, variable).is_some_and(|process| is_meant(&process)))
            .map(|(_, process)| process)
            .collect();
        if found.is_empty() || Instant::now() >= until {
            return ended;
        }
        // All at once: a process that sees another one die must not live to report it.
        for process in &found {
            let _ = signal_process(process, StopSignal::Kill);
        }
        ended += found.len();
        for process in &found {
            let left = until.saturating_duration_since(Instant::now());
            let _ = wait_readable([process.as_fd()], left);
        }
    }
}

/// Reads the command line and mark of a process from /proc. The command line is read first: between
/// fork and exec it is that of the parent, and whatever the process becomes has the mark.
fn info_of(pid: u32, variable: &str) -> Option<ProcessInfo> {
    let arguments = texts(pid, "cmdline")?;
    let mark = texts(pid, "environ")?.into_iter().find_map(|entry| {
        let (name, value) = entry.split_once('=')?;
        (name == variable).then(|| value.to_owned())
    });
    Some(ProcessInfo { arguments, mark })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fourth field of /proc/PID/stat (proc(5)).
fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process is stopped by a signal such as SIGSTOP; it resumes on SIGCONT.
pub fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.starts_with('T'))
}

/// How long ago a process was started, including time in which the machine slept.
pub fn age_of(pid: u32) -> Option<Duration> {
    // Field 22; ticks are hundredths of a second on every Linux platform.
    let ticks: u64 = stat(pid)?.split_whitespace().nth(19)?.parse().ok()?;
    Some(since_boot().saturating_sub(Duration::from_millis(ticks.saturating_mul(10))))
}

/// /proc/PID/stat from its third field on; the second is in parentheses and may contain blanks.
fn stat(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')').map(|(_, rest)| rest.trim_start().to_owned())
}

/// The arguments of a process; empty if they cannot be read.
pub fn arguments_of(pid: u32) -> Vec<String> {
    texts(pid, "cmdline").unwrap_or_default()
}

/// A list of NUL-terminated texts from /proc.
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
    fn processes_that_start_meanwhile_are_killed_too() {
        const VARIABLE: &str = "SCANWATCH_TEST_MARK";
        let own = format!("breeder-{}", std::process::id());
        // A single pass misses processes that start between the pass and the kill.
        #[expect(clippy::disallowed_methods, reason = "a process that the test is about")]
        let mut breeder = std::process::Command::new("sh")
            .args(["-c", "while :; do sleep 99 & sleep 99 & sleep 0.001; done"])
            .env(VARIABLE, &own)
            .spawn()
            .unwrap();
        let is_meant = |process: &ProcessInfo| process.mark.as_ref() == Some(&own);
        let find = || processes().filter_map(|pid| info_of(pid, VARIABLE)).filter(is_meant).count();
        while find() < 20 {
            std::thread::yield_now();
        }
        assert!(kill_all(VARIABLE, Duration::from_secs(30), is_meant) > 0);
        assert_eq!(find(), 0);
        breeder.wait().unwrap();
    }
}
