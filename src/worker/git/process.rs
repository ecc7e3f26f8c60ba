//! A running git process and its owner.
//!
//! Input: a command. Output: its output, and how it ended.
//!
//! Invariants: git runs in its own process group, so that its helper processes (git-remote-https,
//! index-pack) end with it; whenever its owner is dropped, the whole group is killed and git is
//! reaped. The group is signalled only before git is reaped: until then its id cannot be reused.

use super::{GitError, diagnosis::diagnose_local};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often a running git is checked.
const TICK: Duration = Duration::from_millis(50);
/// The size limit of a kept output, in bytes; the rest is drained and replaced by `…`.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Decides why a running git has to be killed; `None` as long as it may continue.
pub(super) type Kill = Box<dyn FnMut() -> Option<GitError> + Send>;

/// A running git with its pipes.
#[derive(Debug)]
pub(super) struct Running {
    step: &'static str,
    child: Child,
    group: Pid,
    words: Sender<WatchMessage>,
    watch: Option<JoinHandle<Option<GitError>>>,
    /// The group and the watch have been ended; the group's id may be reused.
    is_over: bool,
}

/// A message to the thread that watches a git process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatchMessage {
    /// Check now.
    Look,
    /// Exit, because git has; if git failed, check once more whether it had to be killed.
    Release { failed: bool },
}

/// Makes the watch of a git process check at once.
#[derive(Debug, Clone)]
pub(super) struct Nudge(Sender<WatchMessage>);

impl Nudge {
    pub(super) fn look(&self) {
        // A watch that has exited has nothing left to kill.
        let _ = self.0.send(WatchMessage::Look);
    }
}

/// How a git process ended, and its output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, without the final line break.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// The output, or an error if git failed.
    pub(super) fn successful(self, step: &'static str) -> Result<Self, GitError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(diagnose_local(step, said(&self.stderr)))
    }
}

/// The last lines of a standard error, joined on one line.
pub(super) fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(4)..];
    if tail.is_empty() { "git said nothing".to_owned() } else { tail.join("; ") }
}

impl Running {
    pub(super) fn start(
        step: &'static str,
        command: &mut Command,
        mut kill: Kill,
    ) -> Result<Self, GitError> {
        let child = command.process_group(0).spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => GitError::Missing,
            _ => GitError::Spawn { source },
        })?;
        let group = Pid::from_child(&child);
        let (words, told) = mpsc::channel();
        let watch = thread::Builder::new().name("git-watch".to_owned()).spawn(move || {
            loop {
                match told.recv_timeout(TICK) {
                    Ok(WatchMessage::Look) | Err(RecvTimeoutError::Timeout) => {}
                    Ok(WatchMessage::Release { failed: true }) => return kill(),
                    Ok(WatchMessage::Release { failed: false })
                    | Err(RecvTimeoutError::Disconnected) => {
                        return None;
                    }
                }
                if let Some(why) = kill() {
                    // A process group that is already gone was ending anyway.
                    let _ = kill_process_group(group, Signal::KILL);
                    return Some(why);
                }
            }
        });
        let mut running = Self { step, child, group, words, watch: None, is_over: false };
        // If the thread does not start, dropping `running` kills git.
        running.watch = Some(watch.map_err(|source| GitError::Spawn { source })?);
        Ok(running)
    }

    /// A handle for code that learns that git has to be killed.
    pub(super) fn nudge(&self) -> Nudge {
        Nudge(self.words.clone())
    }

    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for git's exit, then kills what is left of its process group.
    ///
    /// # Errors
    /// Why it was killed, if it did not exit by itself.
    pub(super) fn finish(mut self) -> Result<ExitStatus, GitError> {
        // Not reaped yet, so that the group's id cannot be reused before the group is signalled.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let exited = loop {
            match waitid(WaitId::Pid(self.group), ended) {
                Err(Errno::INTR) => {}
                exited => break exited,
            }
        };
        let succeeded = matches!(exited, Ok(Some(status)) if status.exit_status() == Some(0));
        let step = self.step;
        // A signal to the scanner's process group also reaches a git that has just been started and
        // is still in it: git fails before the watch has checked.
        match self.end(!succeeded) {
            (Some(why), _) => Err(why),
            (None, status) => status.map_err(|source| GitError::Pipe { step, source }),
        }
    }

    /// Kills it. Returns why it was killed already, if it was.
    pub(super) fn abandon(mut self) -> Option<GitError> {
        self.end(false).0
    }

    /// Reads its output to the end.
    pub(super) fn output(mut self) -> Result<Output, GitError> {
        let stderr = self.stderr().map(drain_beside).transpose()?;
        let stdout = self.stdout().map(drain).unwrap_or_default();
        let stderr = stderr.map(joined).unwrap_or_default();
        Ok(Output { status: self.finish()?, stdout, stderr })
    }

    /// Ends the group and the watch, and reaps git. Returns why the watch killed git, or why git
    /// would have had to be killed if it `failed`.
    fn end(&mut self, failed: bool) -> (Option<GitError>, io::Result<ExitStatus>) {
        self.is_over = true;
        let _ = self.words.send(WatchMessage::Release { failed });
        let why = self.watch.take().and_then(|watch| watch.join().ok()).flatten();
        let _ = kill_process_group(self.group, Signal::KILL);
        (why, self.child.wait())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.end(false);
        }
    }
}

/// Reads to the end on a thread and keeps the beginning.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn drain_beside(
    pipe: impl Read + Send + 'static,
) -> Result<JoinHandle<Vec<u8>>, GitError> {
    let thread = thread::Builder::new().name("git-drain".to_owned());
    thread.spawn(move || drain(pipe)).map_err(|source| GitError::Spawn { source })
}

/// The output that a thread of [`drain_beside`] has kept.
pub(super) fn joined(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}

/// Reads to the end and keeps the beginning. A broken pipe means the end.
fn drain(mut pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = pipe.by_ref().take(LONGEST_ANSWER).read_to_end(&mut kept);
    if io::copy(&mut pipe, &mut io::sink()).is_ok_and(|more| more > 0) {
        kept.extend_from_slice("…".as_bytes());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    };

    /// Breaks if half of a secret looks like a whole word because the cut is not visible.
    #[test]
    fn truncated_output_is_marked() {
        let longest = usize::try_from(LONGEST_ANSWER).unwrap();
        assert_eq!(drain(vec![b'x'; longest].as_slice()).len(), longest);
        let cut = drain(vec![b'x'; longest + 1].as_slice());
        assert!(said(&cut).ends_with("x…"));
    }

    /// Breaks if a git that was ended by the same signal as the scanner counts as failed.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a program that stands for git")]
    fn a_git_that_fails_during_a_stop_counts_as_stopped() {
        let asked = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&asked);
        let kill = move || stop.load(Relaxed).then_some(GitError::Stopped(15));
        let mut command = Command::new("sh");
        command.args(["-c", "kill -TERM $$"]);
        let running = Running::start("version", &mut command, Box::new(kill)).unwrap();
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(running.group), ended).unwrap();
        asked.store(true, Relaxed);
        assert!(matches!(running.finish(), Err(GitError::Stopped(15))));
    }
}
