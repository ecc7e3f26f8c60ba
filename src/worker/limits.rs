//! The limits of a scan, and the errors when one is exceeded.
//!
//! Input: the limits, and entries as they stream. Output: admission or an error. Invariants:
//! nothing is truncated silently.

use super::text;
use crate::model::task::Limits;
use std::time::{Duration, Instant};

/// How many entries stream between two checks of the clock.
const ENTRIES_PER_LOOK: u64 = 256;

/// A repository that exceeds a limit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitError {
    #[error("too many files: more than {most} ([limits] max_tree_entries)")]
    TooManyFiles { most: u64 },
    #[error(
        "too many files: listing them takes more than {seconds} seconds ([limits] list_timeout_secs)"
    )]
    ListTooSlow { seconds: u64 },
    #[error(
        "folders are nested too deeply: more than {most} levels at `{at}` ([limits] max_tree_depth)"
    )]
    TooDeep { most: u64, at: String },
    #[error("a path is too long: more than {most} bytes ([limits] max_path_bytes)")]
    PathTooLong { most: u64 },
    #[error("too many files: the paths of the files to read exceed {most} bytes in total")]
    PathsTooLong { most: usize },
    #[error(
        "too much work: more than {most} seconds of processor time ([limits] max_cpu_secs) were used \
         when {done} of {total} files were read"
    )]
    TooMuchWork { most: u64, done: u64, total: u64 },
    #[error("too many packages: more than {most} ([limits] max_packages)")]
    TooManyPackages { most: u64 },
    #[error("the result is too large: more than {most} bytes ([limits] max_result_bytes)")]
    ResultTooLarge { most: u64 },
}

/// Counts and limits the entries of one tree while they stream.
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
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            most_entries: limits.max_tree_entries,
            most_depth: limits.max_tree_depth,
            longest_path: limits.max_path_bytes,
            seconds: limits.list_timeout_secs,
            entries: 0,
            begin: Instant::now(),
        }
    }

    /// The timeout for listing a tree.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The longest allowed path, in bytes.
    pub(crate) fn longest_path(&self) -> usize {
        usize::try_from(self.longest_path).unwrap_or(usize::MAX / 2)
    }

    /// The error for a path that was not read to its end.
    pub(crate) fn path_too_long(&self) -> LimitError {
        LimitError::PathTooLong { most: self.longest_path }
    }

    /// The maximum number of entries.
    pub(crate) fn most_entries(&self) -> u64 {
        self.most_entries
    }

    /// Counts an entry, or returns the limit that it exceeds.
    pub(crate) fn admit(&mut self, path: &[u8]) -> Result<(), LimitError> {
        self.entries += 1;
        if self.entries > self.most_entries {
            return Err(LimitError::TooManyFiles { most: self.most_entries });
        }
        if path.len() as u64 > self.longest_path {
            return Err(self.path_too_long());
        }
        if path.split(|byte| *byte == b'/').skip(1).count() as u64 > self.most_depth {
            let at = text::cut(&text::shown_path(path), 200);
            return Err(LimitError::TooDeep { most: self.most_depth, at });
        }
        if self.entries.is_multiple_of(ENTRIES_PER_LOOK) && self.begin.elapsed() > self.time() {
            return Err(LimitError::ListTooSlow { seconds: self.seconds });
        }
        Ok(())
    }
}
