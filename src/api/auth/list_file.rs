//! A file with one user or token a line, which may change while the server runs: its path comes
//! in, entries go out, the newest that made sense.
//!
//! What must stay true: at the start a file has to be right; afterwards a bad one changes nothing,
//! is reported until it is good again, and is said once in the log; no report shows what a
//! line holds beyond a name.

use crate::{
    api::named_file::FileError,
    store::read::{self, Signature},
};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The most that is read: ten thousands of users.
const CAP: u64 = 4 << 20;

/// A line that is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) number: usize,
    pub(super) reason: String,
}

type Parser<T> = Box<dyn Fn(&str) -> Result<Vec<T>, BadLine> + Send + Sync>;

/// A file, as it was when it made sense last.
pub(super) struct ListFile<T> {
    setting: &'static str,
    path: PathBuf,
    parser: Parser<T>,
    entries: Vec<T>,
    /// Of the content that was looked at last, good or bad; none if that could not be read.
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
        file.look(true);
        match file.problem {
            Some(problem) => Err(problem),
            None => Ok(file),
        }
    }

    pub(super) fn entries(&self) -> &[T] {
        &self.entries
    }

    /// What is wrong with the file as it is now, for clients.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.as_ref().map(FileError::without_path)
    }

    /// Reads the file again if it has changed, or anyway; whether there are new entries.
    pub(super) fn refresh(&mut self, anyway: bool) -> bool {
        let before = self.problem.clone();
        let is_new = self.look(anyway);
        match &self.problem {
            Some(problem) if before.as_ref() != Some(problem) => {
                tracing::error!("{problem}; what it said before stays in force");
            }
            None if is_new => tracing::info!(path = %self.path.display(), "read again"),
            _ => {}
        }
        is_new
    }

    fn look(&mut self, anyway: bool) -> bool {
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
            .map_err(|error| (format!("it cannot be read: {error}"), None))?;
        let signature = Signature::of(&facts);
        let refused = |line: usize, reason: &str| {
            let text = format!("line {line}: {reason}");
            (text, Some(signature))
        };
        let text = str::from_utf8(&bytes).map_err(|error| {
            let good = &bytes[..error.valid_up_to()];
            let line = good.split(|byte| *byte == b'\n').count();
            refused(line, "it is not valid UTF-8")
        })?;
        let entries = (self.parser)(text).map_err(|bad| refused(bad.number, &bad.reason))?;
        Ok((entries, signature))
    }
}
