//! The scanner process and its process tree: starts it, and ends all of it.
//!
//! Input: a task. Output: a running scanner with a cleared environment, in its own process group
//! and scratch folder, with its task on standard input, and in a control group if there is one.
//!
//! Invariants: the whole tree is ended: SIGTERM to the group, a grace period, SIGKILL to group and
//! control group, and then the orphans, which all become children of the shim, whatever session
//! they moved to.

use super::log::Log;
use crate::{
    model::task::{ScanTask, ShimTask, TRACKING_VARIABLE},
    sys::{self, ChildEnd, StopSignal, cgroup::ControlGroup},
};
use std::{
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a tree may take to exit after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// A running scanner.
pub(super) struct Scanner {
    pid: u32,
    pidfd: OwnedFd,
    group: Option<ControlGroup>,
    end: Option<ChildEnd>,
    grace: Duration,
}

impl Scanner {
    /// Starts the scanner; its output goes to `log`.
    pub(super) fn start(task: &ShimTask, log: &Log) -> io::Result<Self> {
        sys::become_subreaper()?;
        sys::forbid_core_dumps()?;
        let group = ControlGroup::create(&tracking_id(&task.scan));
        let mut command = command(task);
        // The scanner gets its task before this process leaves the control group, which takes a
        // while.
        let mut start = || {
            let mut child = sys::with_low_priority(|| command.spawn())?;
            // Processes that the scanner starts inherit this.
            let offered = sys::prefer_for_oom_kill(child.id());
            let connected = connect(&mut child, task, log);
            Ok::<_, io::Error>((child.id(), offered, connected))
        };
        let (pid, offered, connected) = match &group {
            Some(group) => group.with_members(start),
            None => start(),
        }?;
        if group.as_ref().is_none_or(ControlGroup::holds_this_process) {
            log.note(
                "no control group available; stray processes are found one by one through /proc",
            );
        }
        if let Err(error) = offered {
            log.note(&format!("cannot raise oom_score_adj of the scanner: {error}"));
        }
        // The child has not been reaped, so its pid cannot have been reused.
        let pidfd = sys::open_process(pid)?;
        let mut scanner =
            Self { pid, pidfd, group, end: None, grace: Duration::from_secs(task.kill_grace_secs) };
        match connected {
            Ok(()) => Ok(scanner),
            Err(error) => {
                scanner.grace = Duration::ZERO;
                scanner.end_tree(log);
                Err(error)
            }
        }
    }

    /// The pid of the scanner, also after its exit.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Reaps the scanner if it has exited. Its process group gets SIGKILL first: until the scanner
    /// is reaped, the group's id cannot be reused.
    pub(super) fn try_reap(&mut self) -> Option<ChildEnd> {
        if self.end.is_none() && self.has_exited() {
            let _ = sys::signal_group(self.pid, StopSignal::Kill);
            while self.end.is_none()
                && let Ok(Some(reaped)) = sys::reap_one()
            {
                self.note(reaped);
            }
        }
        self.end
    }

    /// Reaps orphans that have exited; [`Self::try_reap`] reaps the scanner itself.
    pub(super) fn reap_orphans(&mut self) {
        while !self.has_exited()
            && let Ok(Some(reaped)) = sys::reap_one()
        {
            self.note(reaped);
        }
    }

    /// Ends all remaining processes of the scanner and its descendants.
    pub(super) fn end_tree(&mut self, log: &Log) {
        if self.end.is_none() {
            let _ = sys::signal_group(self.pid, StopSignal::Term);
            let patience = Instant::now() + self.grace;
            while self.try_reap().is_none() && Instant::now() < patience {
                let left = patience.saturating_duration_since(Instant::now());
                let _ =
                    sys::wait_readable([self.pidfd.as_fd()], left.min(Duration::from_millis(200)));
                self.reap_orphans();
            }
            if self.end.is_none() {
                let _ = sys::signal_group(self.pid, StopSignal::Kill);
            }
        }
        let left = self.kill_what_is_left();
        if left > 0 {
            log.note(&format!("{left} processes did not end within 10 s of SIGKILL"));
        }
        log.finish();
    }

    /// Sends SIGKILL to the control group and to every child until none is left. When a child dies,
    /// its own children become children of this process.
    fn kill_what_is_left(&mut self) -> usize {
        let patience = Instant::now() + KILL_PATIENCE;
        // Most scanners leave no processes; then /proc need not be read.
        while self.has_children() {
            if let Some(group) = &self.group {
                group.kill();
            }
            let children = sys::children();
            for child in &children {
                if let Ok(process) = sys::open_process(*child) {
                    let _ = sys::signal_process(process, StopSignal::Kill);
                }
            }
            if Instant::now() >= patience {
                return children.len();
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.group.take();
        0
    }

    /// Reaps dead children; returns whether any child is alive.
    fn has_children(&mut self) -> bool {
        loop {
            match sys::reap_one() {
                Ok(Some(reaped)) => self.note(reaped),
                Ok(None) => return true,
                // ECHILD: the tree is gone.
                Err(_) => return false,
            }
        }
    }

    fn has_exited(&self) -> bool {
        sys::wait_readable([self.pidfd.as_fd()], Duration::ZERO).is_ok_and(|[exited]| exited)
    }

    fn note(&mut self, (pid, end): (u32, ChildEnd)) {
        if pid == self.pid && self.end.is_none() {
            self.end = Some(end);
        }
    }
}

impl AsFd for Scanner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Connects the scanner's three streams, each on its own thread, so that none can block another.
fn connect(child: &mut Child, task: &ShimTask, log: &Log) -> io::Result<()> {
    if let Some(stdout) = child.stdout.take() {
        log.drain(stdout, super::log::Stream::Stdout)?;
    }
    if let Some(stderr) = child.stderr.take() {
        log.drain(stderr, super::log::Stream::Stderr)?;
    }
    let mut text = serde_json::to_vec(&task.scan)?;
    text.push(b'\n');
    if let Some(mut stdin) = child.stdin.take() {
        thread::Builder::new().name("task".to_owned()).spawn(move || {
            // A scanner may ignore its task; dropping the pipe ends the input.
            let _ = stdin.write_all(&text);
        })?;
    }
    Ok(())
}

/// The error text that names the program that could not be started.
pub(super) fn cannot_start(task: &ShimTask) -> String {
    match task.command.first() {
        Some(program) => format!("cannot start the scanner `{program}` ([scanner] command)"),
        None => "cannot start the built-in scanner".to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts scanners")]
fn command(task: &ShimTask) -> Command {
    let scan = &task.scan;
    // The built-in scanner is the running program, even if its file has been replaced.
    let program = task.command.first().map_or("/proc/self/exe", String::as_str);
    let mut command = Command::new(program);
    if task.command.is_empty() {
        command.arg0("scanwatch").arg("worker");
    }
    command.args(task.command.iter().skip(1));
    command
        .env_clear()
        .env("PATH", &task.path)
        .env("HOME", &scan.work_dir)
        .env("LANG", "C.UTF-8")
        .env(TRACKING_VARIABLE, tracking_id(scan))
        .env("SCANWATCH_JOB_ID", scan.job_id.as_str())
        .env("SCANWATCH_REPO_INDEX", scan.repo_index.to_string())
        .env("SCANWATCH_REPO_NAME", without_nul(&scan.repo_name))
        .env("SCANWATCH_REPO_URL", without_nul(&scan.git_url))
        .env("SCANWATCH_STATUS_FILE", &scan.status_file)
        .env("SCANWATCH_RESULT_FILE", &scan.result_file)
        .env("SCANWATCH_WORK_DIR", &scan.work_dir)
        .env("SCANWATCH_UPDATE_INTERVAL_SECS", scan.update_interval_secs.to_string())
        .current_dir(&scan.work_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

fn tracking_id(scan: &ScanTask) -> String {
    ScanTask::tracking_id(&scan.job_id, scan.repo_index, scan.attempt)
}

/// A name from a forge may contain a NUL, which an environment variable cannot.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
