//! A git that runs, and its owner.
//!
//! Invariants: git runs in a process group of its own, so that its helpers
//! (git-remote-https, index-pack) end with it; when its owner is dropped, at whatever point,
//! the whole group is dead and git is reaped. The group is signalled only before git is reaped:
//! until then nobody else can have its number.

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

/// How often a running git is looked after.
const TICK: Duration = Duration::from_millis(50);
/// The most that is kept of an answer, in bytes; the rest is drained, and a `…` stands for it.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Says why a running git has to be ended; `None` as long as it may go on.
pub(super) type Kill = Box<dyn FnMut() -> Option<GitError> + Send>;

/// A running git with its pipes.
#[derive(Debug)]
pub(super) struct Running {
    step: &'static str,
    child: Child,
    group: Pid,
    words: Sender<Word>,
    watch: Option<JoinHandle<Option<GitError>>>,
    /// Group and watch have been ended: there is neither of that number that is ours.
    is_over: bool,
}

/// A message to the thread that watches a git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// To ask now.
    Look,
    /// To end, for git has; once more asked whether git had to, where it failed.
    Release { failed: bool },
}

/// Has the watch of a git ask at once whether that has to end.
#[derive(Debug, Clone)]
pub(super) struct Nudge(Sender<Word>);

impl Nudge {
    pub(super) fn look(&self) {
        // A watch that is gone has nothing left to end.
        let _ = self.0.send(Word::Look);
    }
}

/// How a git ended, and what it said.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl Output {
    /// Standard output without the closing line break, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// What it said, if it failed.
    pub(super) fn successful(self, step: &'static str) -> Result<Self, GitError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(diagnose_local(step, said(&self.stderr)))
    }
}

/// The last words on a standard error, on one line.
pub(super) fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
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
                    Ok(Word::Look) | Err(RecvTimeoutError::Timeout) => {}
                    Ok(Word::Release { failed: true }) => return kill(),
                    Ok(Word::Release { failed: false }) | Err(RecvTimeoutError::Disconnected) => {
                        return None;
                    }
                }
                if let Some(why) = kill() {
                    // Gone already is fine: then its end was on its way.
                    let _ = kill_process_group(group, Signal::KILL);
                    return Some(why);
                }
            }
        });
        let mut running = Self { step, child, group, words, watch: None, is_over: false };
        // Should the thread not start, `running` is dropped, and with it git.
        running.watch = Some(watch.map_err(|source| GitError::Spawn { source })?);
        Ok(running)
    }

    /// For whoever learns that it has to end.
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

    /// Waits for its end. What is left of its group is ended then.
    ///
    /// # Errors
    /// Why it was ended, if it did not end by itself.
    pub(super) fn finish(mut self) -> Result<ExitStatus, GitError> {
        // Left to be reaped, so that the group cannot become another's before it is signalled.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let exited = loop {
            match waitid(WaitId::Pid(self.group), ended) {
                Err(Errno::INTR) => {}
                exited => break exited,
            }
        };
        let succeeded = matches!(exited, Ok(Some(it)) if it.exit_status() == Some(0));
        let step = self.step;
        // A signal to the scanner's group also reaches a git that has just been started and has none
        // of its own yet: it fails before the watch has asked.
        match self.end(!succeeded) {
            (Some(why), _) => Err(why),
            (None, status) => status.map_err(|source| GitError::Pipe { step, source }),
        }
    }

    /// Ends it. Says why it was ended already, if it did not end by itself.
    pub(super) fn abandon(mut self) -> Option<GitError> {
        self.end(false).0
    }

    /// Takes what it says until its end.
    pub(super) fn output(mut self) -> Result<Output, GitError> {
        let stderr = self.stderr().map(drain_beside);
        let stdout = self.stdout().map(drain).unwrap_or_default();
        let stderr = stderr.map(joined).unwrap_or_default();
        Ok(Output { status: self.finish()?, stdout, stderr })
    }

    /// Ends the group and the watch, reaps; says why the watch ended it, if it did, or why it had to end,
    /// where it `failed`.
    fn end(&mut self, failed: bool) -> (Option<GitError>, io::Result<ExitStatus>) {
        self.is_over = true;
        let _ = self.words.send(Word::Release { failed });
        let why = self.watch.take().and_then(|it| it.join().ok()).flatten();
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

/// Reads to the end in a thread, and keeps the beginning.
pub(super) fn drain_beside(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || drain(pipe))
}

/// What a thread of [`drain_beside`] has kept.
pub(super) fn joined(reader: JoinHandle<Vec<u8>>) -> Vec<u8> {
    reader.join().unwrap_or_default()
}

/// Reads to the end and keeps the beginning. A pipe that breaks has ended.
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

    /// Breaks if half of a secret looks like a whole word, because nothing shows that it was cut.
    #[test]
    fn what_is_left_out_is_shown() {
        let longest = usize::try_from(LONGEST_ANSWER).unwrap();
        assert_eq!(drain(vec![b'x'; longest].as_slice()).len(), longest);
        let cut = drain(vec![b'x'; longest + 1].as_slice());
        assert!(said(&cut).ends_with("x…"));
    }

    /// Breaks if a git that a signal to the scanner ended together with it counts as one that failed.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a program that stands for git")]
    fn one_that_failed_when_the_scanner_was_to_stop_is_asked_about_once_more() {
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
