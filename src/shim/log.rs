//! The log of a scanner: copies stdout and stderr to `logs/repo_N.log`.
//!
//! Input: the two streams. Output: whole lines, with secrets masked and control characters escaped,
//! up to a size limit.
//!
//! Invariants: nothing that a scanner prints can block it. Output beyond the limit, or that cannot
//! be written because the disk is full, is read and dropped.

use crate::{
    model::{
        control_chars::is_unprintable,
        redact::{Redactor, SHORTEST},
        task::ShimTask,
    },
    store::lock,
};
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

/// The longest line that is kept whole, in bytes.
const LONGEST_LINE: usize = 64 << 10;
/// How much of the end of stderr goes into a status file, in bytes.
const TAIL: usize = 4 << 10;
/// How long the streams may stay open once every process of the tree has exited.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The stream that a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one attempt; it replaces the log of an earlier attempt.
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
        // Opening a FIFO that an earlier attempt put at this path would block for ever.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o640).custom_flags(flags);
            let file = options.open(path)?;
            let facts = file.metadata()?;
            Ok::<_, io::Error>(lock::keep_if_held(file, &facts))
        };
        let file = if let Some(file) = open()? {
            file
        } else {
            // The path is a hard link to this shim's lock; closing the file would release the lock.
            std::fs::remove_file(path)?;
            open()?.ok_or_else(|| io::Error::other("the path is a lock file of this process"))?
        };
        let state = State { file, written: 0, open_streams: 0, tail: VecDeque::new() };
        let shared = Shared {
            redactor: Redactor::of_logins(task.scan.logins()),
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
        self.line(&self.masked(format!("scanwatch: {text}").as_bytes()), Stream::Stdout);
    }

    /// Forgets the last lines of stderr: they are not those of the scanner that follows.
    pub(super) fn forget_stderr(&self) {
        self.state().tail.clear();
    }

    /// Waits until the streams have ended, but not for ever: a process that escaped may hold one
    /// open.
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
            let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let ready = self.ready_lines(&pending[..whole]);
            self.lines(&pending[..ready], stream);
            pending.drain(..ready);
            if pending.len() >= LONGEST_LINE {
                // Cut outside of anything that could be a secret: a possible start of a secret
                // stays for the next piece.
                let masked = self.masked(&pending);
                let cut = self.shared.redactor.settled(&masked, 0);
                self.lines(&masked.as_bytes()[..cut], stream);
                pending = masked.as_bytes()[cut..].to_vec();
            }
        }
        self.lines(&pending, stream);
    }

    /// How many bytes of these lines can be written: a line that ends within a possible secret
    /// waits for the next line.
    fn ready_lines(&self, lines: &[u8]) -> usize {
        let text = String::from_utf8_lossy(lines);
        let settled = self.shared.redactor.settled(&text, SHORTEST);
        let count = text[..settled].matches('\n').count();
        let ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        if settled == text.len() {
            lines.len()
        } else {
            ends.take(count).last().map_or(0, |(end, _)| end + 1)
        }
    }

    /// Writes lines. They are masked together, because a secret may span two of them.
    fn lines(&self, bytes: &[u8], stream: Stream) {
        if stream == Stream::Stdout && self.state().written >= self.shared.cap {
            return;
        }
        let masked = self.masked(bytes);
        masked.lines().for_each(|line| self.line(line, stream));
    }

    fn masked(&self, bytes: &[u8]) -> String {
        self.shared.redactor.redact(&String::from_utf8_lossy(bytes)).into_owned()
    }

    /// Writes a line that is already masked.
    fn line(&self, text: &str, stream: Stream) {
        let mut text = visible(text);
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
            text = format!(
                "scanwatch: log truncated at {} bytes ([scanner] log_max_bytes)\n",
                self.shared.cap
            );
        }
        // A full disk must not stop the scanner.
        let _ = state.file.write_all(text.as_bytes());
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Escapes control characters, because a log is read in terminals.
fn visible(text: &str) -> String {
    let text = text.strip_suffix('\r').unwrap_or(text);
    let mut shown = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if is_unprintable(c) && c != '\t' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::Credentials;
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

    const SECRET: &str = "canary-s3cr3t-0451";

    /// A log that knows the secret, and its file.
    fn log() -> (Log, tempfile::NamedTempFile) {
        let login =
            Credentials { username: "oauth2".into(), password: SECRET.into(), on_request: false };
        let file = tempfile::NamedTempFile::new().unwrap();
        let state = State {
            file: file.reopen().unwrap(),
            written: 0,
            open_streams: 0,
            tail: VecDeque::new(),
        };
        let shared = Shared {
            redactor: Redactor::of_logins(Some(&login)),
            cap: 1 << 20,
            state: Mutex::new(state),
            drained: Condvar::new(),
        };
        (Log { shared: Arc::new(shared) }, file)
    }

    fn text_of(file: &tempfile::NamedTempFile) -> String {
        std::fs::read_to_string(file.path()).unwrap()
    }

    /// Delivers pieces one at a time, as a pipe does; the closure runs between them.
    struct Pieces<F>(VecDeque<Vec<u8>>, F);

    impl<F: FnMut()> Read for Pieces<F> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            (self.1)();
            let Some(mut piece) = self.0.pop_front() else { return Ok(0) };
            let length = piece.len().min(buffer.len());
            buffer[..length].copy_from_slice(&piece[..length]);
            if length < piece.len() {
                self.0.push_front(piece.split_off(length));
            }
            Ok(length)
        }
    }

    /// The log after these pieces.
    fn written(pieces: &[&[u8]]) -> String {
        let (log, file) = log();
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        log.copy(Pieces(pieces, || {}), Stream::Stderr);
        let text = text_of(&file);
        let tail = log.stderr_tail();
        assert!(text.ends_with(&tail) || text.trim_end().ends_with(&tail), "{text:?}");
        text
    }

    /// Breaks if a line that is too long is cut within a secret, wherever the secret starts.
    #[test]
    fn a_long_line_is_never_cut_within_a_secret() {
        for form in [SECRET.to_owned(), STANDARD_NO_PAD.encode(format!("oauth2:{SECRET}"))] {
            for before in 0..=form.len() + 1 {
                let head = vec![b'x'; LONGEST_LINE - before];
                let text = written(&[&head, form.as_bytes(), &[b'y'; 100], b"\n"]);
                let joined = text.replace('\n', "");
                let expected = format!("{}***{}", "x".repeat(head.len()), "y".repeat(100));
                assert_eq!(joined.len(), expected.len(), "{before} of {form}");
                assert_eq!(joined, expected, "{before} of {form}");
            }
        }
    }

    /// Breaks if a secret gets through when it spans two lines or two pieces.
    #[test]
    fn a_secret_that_spans_lines_or_pieces_is_masked() {
        for at in 1..SECRET.len() {
            let (head, tail) = SECRET.split_at(at);
            let line = written(&[b"is it ", head.as_bytes(), tail.as_bytes(), b"?\nno\n"]);
            assert_eq!(line, "is it ***?\nno\n", "at {at}");
            for end in ["\n", "\r\n"] {
                let together = format!("one\nis it {head}{end}{tail}?\nno\n");
                assert_eq!(written(&[together.as_bytes()]), "one\nis it ***?\nno\n", "at {at}");
                if at >= SHORTEST {
                    let first = format!("one\nis it {head}{end}");
                    let apart = written(&[first.as_bytes(), tail.as_bytes(), b"?\nno\n"]);
                    assert_eq!(apart, "one\nis it ***?\nno\n", "at {at}");
                }
            }
        }
        // A possible secret that does not continue is written unchanged at the end.
        assert_eq!(written(&[b"ends in canary-\n"]), "ends in canary-\n");
    }

    /// Breaks if harmless lines wait for the next one: clients follow the log while it grows.
    #[test]
    fn a_line_is_written_as_soon_as_it_ends() {
        let (log, file) = log();
        let mut seen = Vec::new();
        let pieces = ["one\ntw", "o\n", "three\nfour"].map(|text| text.as_bytes().to_vec());
        log.copy(Pieces(pieces.into(), || seen.push(text_of(&file))), Stream::Stdout);
        let expected = ["", "one\n", "one\ntwo\n", "one\ntwo\nthree\n"];
        assert_eq!(seen, expected);
        assert_eq!(text_of(&file), "one\ntwo\nthree\nfour\n");
    }
}
