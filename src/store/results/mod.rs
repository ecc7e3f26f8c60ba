//! The store of results, `.results/` in the jobs folder: what repositories had when they were last scanned, so that a
//! repository that has not changed is not scanned again.
//!
//! Input: a shim's task, and the result of a successful scan. Output: the newest stored result for the same target,
//! and a result file made from it.
//!
//! A *target* is everything that a result depends on except the commit: the URL, the options, the limits, the
//! categories, and the scanner's version. Its key is a SHA-256. For each target there is one record, of the newest
//! result, and the result itself, under a name made from the target's key and the commit:
//!
//! ```text
//! .results/ab/ab12….latest.json     commit, digest of the files that were read, origin, SHA-256 of the result
//! .results/ab/ab12….<commit>.json   the result
//! ```
//!
//! Invariants:
//! - A stored result is used only if it is the one that the record describes, by its size and its SHA-256. So writes need
//!   no fsync: after a power cut a torn file counts as missing, and the repository is scanned.
//! - Files are replaced by rename and never changed in place, and a job gets a copy: a scanner that can write in its job's folder
//!   cannot reach the store through it. A reader that has opened a result keeps it whatever the clean-up removes.
//! - Only shims write, and only the clean-up removes. A result without a record is removed once it is an hour old, so
//!   what a crash leaves between the two writes is removed, and what another shim is storing is not.
//! - A sandboxed scanner has no access to the folder.

mod head;
mod key;
mod record;
mod retention;

pub use head::Names;
pub use key::ResultKey;
pub use record::{Facts, Origin, Record, Stored, sum};
pub use retention::Removed;

use super::layout::JobsDir;
use std::path::{Path, PathBuf};

/// The store of results of one jobs folder.
#[derive(Debug, Clone)]
pub struct ResultStore {
    root: PathBuf,
    staging: PathBuf,
}

impl ResultStore {
    /// The store of a jobs folder; does not touch the disk.
    pub fn of(jobs: &JobsDir) -> Self {
        Self { root: jobs.result_store(), staging: jobs.staging() }
    }

    /// The folder of a target's files: one of 256, so that each stays small.
    fn shard(&self, target: &ResultKey) -> PathBuf {
        self.root.join(target.shard())
    }

    fn record(&self, target: &ResultKey) -> PathBuf {
        self.shard(target).join(format!("{target}{RECORD}"))
    }

    fn content(&self, target: &ResultKey, commit: &str) -> PathBuf {
        self.shard(target).join(format!("{target}.{commit}.json"))
    }

    /// The folder for temporary files.
    fn staging(&self) -> &Path {
        &self.staging
    }
}

/// How the name of a record ends.
const RECORD: &str = ".latest.json";

/// Whether this is the full id of a commit, which is safe as a part of a file name.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
