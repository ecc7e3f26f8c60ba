//! A scanner's log: stdout and stderr come in, whole lines go out to `logs/repo_N.log`, with
//! secrets masked and control characters spelled out, up to a cap.
//!
//! What must stay true: nothing that a scanner prints can block it. What is beyond the cap, or
//! cannot be written because the disk is full, is read and dropped.

use crate::model::{redact::Redactor, task::ShimTask, unseen::is_unseen};
use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The longest line that is kept in one piece, in bytes.
const LONGEST_LINE: usize = 64 << 10;
/// How much of the end of stderr goes into a status file, in bytes.
const TAIL: usize = 4 << 10;
/// How long the streams may stay open once every process of the tree is gone.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Which of the two a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one attempt; an earlier attempt's is begun anew.
#[derive(Clone)]
pub(super) struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    redactor: Redactor,
    cap: u64,
    state: Mutex<State>,
    drained: Condvar,
}

struct State {
    file: File,
    written: u64,
    open_streams: usize,
    tail: VecDeque<u8>,
}

impl Log {
    pub(super) fn create(path: &Path, task: &ShimTask) -> io::Result<Self> {
        use rustix::fs::OFlags;
        // A pipe that an earlier attempt put in its place would be waited for, for ever.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .custom_flags(flags)
            .open(path)?;
        let secrets = task.scan.credentials.iter().map(|it| it.password.as_str());
        let state = State { file, written: 0, open_streams: 0, tail: VecDeque::new() };
        let shared = Shared {
            redactor: Redactor::new(secrets),
            cap: task.log_max_bytes,
            state: Mutex::new(state),
            drained: Condvar::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads a stream to its end on a thread of its own.
    pub(super) fn drain(
        &self,
        source: impl Read + Send + 'static,
        stream: Stream,
    ) -> io::Result<()> {
        self.state().open_streams += 1;
        let log = self.clone();
        let started = thread::Builder::new().name(format!("{stream:?}")).spawn(move || {
            log.copy(source, stream);
            log.state().open_streams -= 1;
            log.shared.drained.notify_all();
        });
        if started.is_err() {
            self.state().open_streams -= 1;
        }
        started.map(drop)
    }

    /// Adds a line of scanwatch's own.
    pub(super) fn note(&self, text: &str) {
        self.line(format!("scanwatch: {text}").as_bytes(), Stream::Stdout);
    }

    /// Waits until the streams have ended; not for ever, for a process that fled with one.
    pub(super) fn finish(&self) {
        let open = |state: &mut State| state.open_streams > 0;
        let waited = self.shared.drained.wait_timeout_while(self.state(), END_PATIENCE, open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// The last lines of stderr.
    pub(super) fn stderr_tail(&self) -> String {
        let bytes: Vec<u8> = self.state().tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    fn copy(&self, mut source: impl Read, stream: Stream) {
        let mut pending: Vec<u8> = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            match source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => pending.extend(buffer.iter().take(count)),
            }
            let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |it| it + 1);
            for line in pending[..whole].split_inclusive(|byte| *byte == b'\n') {
                self.line(&line[..line.len() - 1], stream);
            }
            pending.drain(..whole);
            if pending.len() >= LONGEST_LINE {
                // Cut where a secret cannot be: its beginning stays for the next piece.
                let masked = self.masked(&pending);
                let keep = self.shared.redactor.longest().min(masked.len());
                let cut = masked.floor_char_boundary(masked.len() - keep);
                self.line(&masked.as_bytes()[..cut], stream);
                pending = masked.as_bytes()[cut..].to_vec();
            }
        }
        if !pending.is_empty() {
            self.line(&pending, stream);
        }
    }

    fn masked(&self, bytes: &[u8]) -> String {
        self.shared.redactor.redact(&String::from_utf8_lossy(bytes)).into_owned()
    }

    fn line(&self, bytes: &[u8], stream: Stream) {
        let mut text = visible(&self.masked(bytes));
        text.push('\n');
        let mut state = self.state();
        if stream == Stream::Stderr {
            state.tail.extend(text.as_bytes());
            let excess = state.tail.len().saturating_sub(TAIL);
            state.tail.drain(..excess);
        }
        if state.written >= self.shared.cap {
            return;
        }
        state.written += text.len() as u64;
        if state.written >= self.shared.cap {
            text =
                format!("scanwatch: the log ends here, at its cap of {} bytes\n", self.shared.cap);
        }
        // A full disk must not stop the scanner.
        let _ = state.file.write_all(text.as_bytes());
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spells out control characters: a log is read in terminals.
fn visible(text: &str) -> String {
    let text = text.strip_suffix('\r').unwrap_or(text);
    let mut shown = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if is_unseen(c) && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
