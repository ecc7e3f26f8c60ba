//! The limits of a scan, and what is said when one of them is passed.

use crate::{model::task::Limits, worker::text};
use std::time::{Duration, Instant};

/// How often the clock is looked at while entries stream.
const ENTRIES_PER_LOOK: u64 = 256;

/// A repository that is larger than a limit allows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("too many files: more than {most}")]
    TooManyFiles { most: u64 },
    #[error("too many files: to list them takes more than {seconds} seconds")]
    ListTooSlow { seconds: u64 },
    #[error("folders too deep: more than {most} below each other, at `{at}`")]
    TooDeep { most: u64, at: String },
    #[error("a path is too long: more than {most} bytes")]
    PathTooLong { most: u64 },
    #[error("too many files: the paths of those to be read are longer than {most} bytes together")]
    PathsTooLong { most: usize },
    #[error(
        "too much work: more than {most} seconds of processor time ([limits] max_cpu_secs) were used \
         when {done} of {total} files were read"
    )]
    TooMuchWork { most: u64, done: u64, total: u64 },
    #[error("too many packages: more than {most}")]
    TooManyPackages { most: u64 },
    #[error("the result is too large: more than {most} bytes")]
    ResultTooLarge { most: u64 },
}

/// Counts the entries of one tree while they stream.
#[derive(Debug)]
pub(crate) struct Caps {
    most_entries: u64,
    most_depth: u64,
    longest_path: u64,
    seconds: u64,
    entries: u64,
    begin: Instant,
}

impl Caps {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            most_entries: limits.max_tree_entries,
            most_depth: limits.max_tree_depth,
            longest_path: limits.max_path_bytes,
            seconds: limits.list_timeout_secs,
            entries: 0,
            begin: Instant::now(),
        }
    }

    /// The time for listing a tree.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The longest path, in bytes.
    pub(crate) fn longest_path(&self) -> usize {
        usize::try_from(self.longest_path).unwrap_or(usize::MAX / 2)
    }

    /// For a path that was given up before its end.
    pub(crate) fn path_too_long(&self) -> LimitError {
        LimitError::PathTooLong { most: self.longest_path }
    }

    /// Counts an entry, unless it is one too many.
    pub(crate) fn admit(&mut self, path: &[u8]) -> Result<(), LimitError> {
        self.entries += 1;
        if self.entries > self.most_entries {
            return Err(LimitError::TooManyFiles { most: self.most_entries });
        }
        if path.len() as u64 > self.longest_path {
            return Err(self.path_too_long());
        }
        if path.split(|it| *it == b'/').skip(1).count() as u64 > self.most_depth {
            let at = text::cut(&text::shown_path(path), 200);
            return Err(LimitError::TooDeep { most: self.most_depth, at });
        }
        if self.entries.is_multiple_of(ENTRIES_PER_LOOK) && self.begin.elapsed() > self.time() {
            return Err(LimitError::ListTooSlow { seconds: self.seconds });
        }
        Ok(())
    }
}
