//! The scanner process and the tree below it: how it is started, and how all of it is ended.
//!
//! It is started with a cleared environment, in a group of its own, in its scratch folder, with
//! its task on standard input, and in a control group where there is one. Its end is that of the
//! whole tree: SIGTERM to the group, a grace, SIGKILL to group and control group, and then the
//! orphans, which all become children of the shim, whatever session they moved to.

use super::log::Log;
use crate::{
    model::task::{ScanTask, ShimTask, TRACKING_VARIABLE},
    sys::{self, ChildEnd, Ending, cgroup::ControlGroup},
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

/// How long a tree that got SIGKILL may take to be gone.
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
        sys::adopt_orphans()?;
        sys::forbid_core_dumps()?;
        let group = ControlGroup::create(&tracking_id(&task.scan));
        let mut command = command(task);
        // It gets its task before this process leaves the group, which takes a while.
        let mut start = || {
            let mut child = sys::yielding(|| command.spawn())?;
            // What it starts inherits this.
            let offered = sys::offer_to_memory_killer(child.id());
            let connected = connect(&mut child, task, log);
            Ok::<_, io::Error>((child.id(), offered, connected))
        };
        let (pid, offered, connected) = match &group {
            Some(group) => group.with_members(start),
            None => start(),
        }?;
        if group.as_ref().is_none_or(ControlGroup::holds_this_process) {
            log.note("no control group of its own: strays are found one by one");
        }
        if let Err(error) = offered {
            log.note(&format!("not preferred when memory runs out: {error}"));
        }
        // A child of ours that has not been reaped: the number is its own.
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

    /// The number that the scanner has, or had.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Reaps the scanner if it has exited. Its group gets SIGKILL just before: until it is
    /// reaped, the group's number is its own.
    pub(super) fn try_reap(&mut self) -> Option<ChildEnd> {
        if self.end.is_none() && self.has_exited() {
            let _ = sys::end_group(self.pid, Ending::Force);
            while self.end.is_none()
                && let Ok(Some(reaped)) = sys::reap_one()
            {
                self.note(reaped);
            }
        }
        self.end
    }

    /// Reaps orphans that ended; the scanner itself is left to [`Self::try_reap`].
    pub(super) fn reap_orphans(&mut self) {
        while !self.has_exited()
            && let Ok(Some(reaped)) = sys::reap_one()
        {
            self.note(reaped);
        }
    }

    /// Ends everything that is left of the scanner and its descendants.
    pub(super) fn end_tree(&mut self, log: &Log) {
        if self.end.is_none() {
            let _ = sys::end_group(self.pid, Ending::Ask);
            let patience = Instant::now() + self.grace;
            while self.try_reap().is_none() && Instant::now() < patience {
                let left = patience.saturating_duration_since(Instant::now());
                let _ =
                    sys::wait_readable([self.pidfd.as_fd()], left.min(Duration::from_millis(200)));
                self.reap_orphans();
            }
            if self.end.is_none() {
                let _ = sys::end_group(self.pid, Ending::Force);
            }
        }
        let left = self.kill_what_is_left();
        if left > 0 {
            log.note(&format!("{left} processes did not end within 10 s of SIGKILL"));
        }
        log.finish();
    }

    /// SIGKILL to the control group and to every child, until none is left. As each child dies,
    /// its own children become ours.
    fn kill_what_is_left(&mut self) -> usize {
        let patience = Instant::now() + KILL_PATIENCE;
        // Most scanners leave nobody: then no process has to be looked for.
        while self.has_children() {
            if let Some(group) = &self.group {
                group.kill();
            }
            let children = sys::children();
            for child in &children {
                if let Ok(process) = sys::open_process(*child) {
                    let _ = sys::end_process(process, Ending::Force);
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

    /// Reaps what is dead; whether anybody lives.
    fn has_children(&mut self) -> bool {
        loop {
            match sys::reap_one() {
                Ok(Some(reaped)) => self.note(reaped),
                Ok(None) => return true,
                // The tree is gone.
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

/// Connects the scanner's three streams, each by a thread of its own: none can block another.
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
            // A scanner that does not read its task needs none; dropping ends the input.
            let _ = stdin.write_all(&text);
        })?;
    }
    Ok(())
}

/// Which program could not be started, for the failure's text.
pub(super) fn cannot_start(task: &ShimTask) -> String {
    match task.command.first() {
        Some(program) => format!("cannot start the scanner `{program}` ([scanner] command)"),
        None => "cannot start the built-in scanner".to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts scanners")]
fn command(task: &ShimTask) -> Command {
    let scan = &task.scan;
    // The built-in one is this very program, even if its file was replaced meanwhile.
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

/// A name from a forge could hold a NUL, which no environment can.
fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}
