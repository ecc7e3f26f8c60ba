//! A file with one user or token per line, which may change while the server runs.
//!
//! Input: the path of the file, and a parser. Output: the entries of the last valid content.
//!
//! Invariants: at startup the file has to be valid; later an invalid file changes nothing, is
//! reported until it is valid again, and is logged once; no report repeats more of a line than a
//! name.

use crate::{
    api::reloaded_files::FileError,
    store::read::{self, Signature},
};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The maximum size of the file: tens of thousands of users.
const CAP: u64 = 4 << 20;

/// A refused line, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) number: usize,
    pub(super) reason: String,
}

type Parser<T> = Box<dyn Fn(&str) -> Result<Vec<T>, BadLine> + Send + Sync>;

/// A file, with its last valid content.
pub(super) struct ListFile<T> {
    setting: &'static str,
    path: PathBuf,
    parser: Parser<T>,
    entries: Vec<T>,
    /// The signature of the content that was read last, valid or not; `None` if it was unreadable.
    seen: Option<Signature>,
    problem: Option<FileError>,
}

impl<T> fmt::Debug for ListFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<T> ListFile<T> {
    /// Reads a file for the first time.
    pub(super) fn open(
        setting: &'static str,
        path: &Path,
        parser: Parser<T>,
    ) -> Result<Self, FileError> {
        let mut file = Self {
            setting,
            path: path.to_owned(),
            parser,
            entries: Vec::new(),
            seen: None,
            problem: None,
        };
        file.read_if_changed(true);
        match file.problem {
            Some(problem) => Err(problem),
            None => Ok(file),
        }
    }

    pub(super) fn entries(&self) -> &[T] {
        &self.entries
    }

    /// The problem of the file in its current state, for clients.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.as_ref().map(FileError::without_path)
    }

    /// Re-reads the file if it has changed or if `anyway` is set; returns whether it was valid and
    /// read.
    pub(super) fn refresh(&mut self, anyway: bool) -> bool {
        let before = self.problem.clone();
        let is_new = self.read_if_changed(anyway);
        match &self.problem {
            // A reload on request reports a known problem again.
            Some(problem) if anyway || before.as_ref() != Some(problem) => {
                tracing::error!("{problem}; the previous content stays in force; correct the file");
            }
            None if is_new => {
                tracing::info!(path = %self.path.display(), "users or tokens re-read");
            }
            _ => {}
        }
        is_new
    }

    fn read_if_changed(&mut self, anyway: bool) -> bool {
        let now = fs::metadata(&self.path).ok().map(|metadata| Signature::of(&metadata));
        if !anyway && now.is_some() && now == self.seen {
            return false;
        }
        match self.read() {
            Ok((entries, signature)) => {
                (self.entries, self.seen, self.problem) = (entries, Some(signature), None);
                true
            }
            Err((reason, signature)) => {
                let (setting, path) = (self.setting, self.path.clone());
                (self.seen, self.problem) =
                    (signature, Some(FileError::new(setting, path, reason)));
                false
            }
        }
    }

    fn read(&self) -> Result<(Vec<T>, Signature), (String, Option<Signature>)> {
        let (bytes, facts) = read::named(&self.path, CAP)
            .map_err(|error| (format!("the file cannot be read: {error}"), None))?;
        let signature = Signature::of(&facts);
        let refused = |line: usize, reason: &str| {
            let text = format!("line {line}: {reason}");
            (text, Some(signature))
        };
        let text = str::from_utf8(&bytes).map_err(|error| {
            let good = &bytes[..error.valid_up_to()];
            let line = good.split(|byte| *byte == b'\n').count();
            refused(line, "the text is not valid UTF-8")
        })?;
        let entries = (self.parser)(text).map_err(|bad| refused(bad.number, &bad.reason))?;
        Ok((entries, signature))
    }
}
