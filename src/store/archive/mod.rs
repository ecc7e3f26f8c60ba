//! Archived jobs: what is left of a finished job after the clean-up has removed its folder, so that its results, packages
//! and bills of materials still answer.
//!
//! Input: the folder of a finished job. Output: its *archive record*, and the files that the record names, each once
//! however many jobs have it:
//!
//! ```text
//! .results/jobs/<job>.jsonl        the record: a line about the job, a line with its master.json, a line for each repository
//! .results/blobs/ab/ab12…          results, logs and plans, named by their SHA-256
//! ```
//!
//! Invariants:
//! - The files are durable before the record, and the record before the job's folder is removed. A crash in between leaves
//!   the folder, and the next clean-up archives it again.
//! - A record is replaced as a whole, and read line by line: a group of 10,000 repositories costs the memory of one.
//! - Only the server writes here, and only one of its threads at a time writes a record or removes blobs ([`Archive::exclusive`]),
//!   so no blob is removed between being stored and being named.
//! - A job whose folder exists is not archived, whatever record there is.
//! - A sandboxed scanner has no access to the folder.

mod blob;
mod reader;
mod record;
mod retention;

pub use blob::Blob;
pub use reader::{ArchiveReader, Unreadable};
pub use record::{ArchiveHeader, ArchivedMaster, ArchivedRepository};
pub use retention::CleanError;

use super::{StoreError, atomic, layout::JobsDir};
use crate::model::JobId;
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How the name of a record ends.
const RECORD: &str = ".jsonl";

/// Held while a record is written or blobs are removed.
static EXCLUSIVE: Mutex<()> = Mutex::new(());

/// The archive of one jobs folder.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
    staging: PathBuf,
}

impl Archive {
    /// The archive of a jobs folder; does not touch the disk.
    pub fn of(jobs: &JobsDir) -> Self {
        Self { root: jobs.result_store(), staging: jobs.staging() }
    }

    /// An archive in a folder of its own, for one job that is being uploaded.
    pub fn in_folder(root: PathBuf, staging: PathBuf) -> Self {
        Self { root, staging }
    }

    /// The path of a job's record, whether or not it exists.
    pub fn record_path(&self, id: &JobId) -> PathBuf {
        self.records().join(format!("{id}{RECORD}"))
    }

    /// The path of a blob, whether or not it exists.
    pub fn blob_path(&self, blob: &Blob) -> PathBuf {
        self.blobs().join(blob.shard()).join(blob.sha256())
    }

    /// Opens the record of a job; `None` if there is none.
    ///
    /// # Errors
    /// If the record cannot be read or understood.
    pub fn read(&self, id: &JobId) -> Result<Option<ArchiveReader>, Unreadable> {
        ArchiveReader::open(&self.record_path(id))
    }

    /// The jobs that have a record, in no order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn jobs(&self) -> Result<Vec<JobId>, StoreError> {
        let folder = self.records();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(StoreError::at("list", &folder))?,
        };
        let names: io::Result<Vec<_>> =
            entries.map(|entry| entry.map(|entry| job_of(&entry.file_name()))).collect();
        Ok(names.map_err(StoreError::at("list", &folder))?.into_iter().flatten().collect())
    }

    /// Removes the record of a job, durably. Returns whether there was one; its blobs go with the next clean-up.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove(&self, id: &JobId) -> Result<bool, StoreError> {
        let path = self.record_path(id);
        match fs::remove_file(&path) {
            Ok(()) => atomic::flush_place(&path)
                .map_err(StoreError::at("flush the folder of", &path))
                .map(|()| true),
            Err(error) if super::io_error::is_absence(&error) => Ok(false),
            Err(error) => Err(StoreError::at("remove", path)(error)),
        }
    }

    /// Takes the record of a job and its blobs from files elsewhere on the same file system: `new` are the files with their
    /// content, `old` the blobs that are here already. Does nothing and returns false if one of these has gone meanwhile.
    ///
    /// # Errors
    /// If the disk refuses; there is no new record then.
    pub fn adopt(
        &self,
        id: &JobId,
        record: &Path,
        new: &[(Blob, PathBuf)],
        old: &[Blob],
    ) -> Result<bool, StoreError> {
        let _exclusive = Self::exclusive();
        if !old.iter().all(|blob| self.has_blob(blob)) {
            return Ok(false);
        }
        let rename = |from: &Path, to: &Path| {
            let folder = to.parent().unwrap_or(to);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(StoreError::at("create", folder))?;
            fs::rename(from, to).map_err(StoreError::at("create", to))
        };
        for (blob, path) in new {
            rename(path, &self.blob_path(blob))?;
        }
        // What a power cut loses of this is in the archive that it came from, and is brought back again.
        rename(record, &self.record_path(id)).map(|()| true)
    }

    /// Whether a blob is here. Blocks.
    pub fn has_blob(&self, blob: &Blob) -> bool {
        fs::symlink_metadata(self.blob_path(blob))
            .is_ok_and(|facts| facts.is_file() && facts.len() == blob.size())
    }

    /// Waits until no other thread writes a record or removes blobs, and keeps it so until the guard is dropped.
    pub fn exclusive() -> MutexGuard<'static, ()> {
        EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> PathBuf {
        self.root.join("jobs")
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The folder for temporary files.
    fn staging(&self) -> &Path {
        &self.staging
    }
}

/// The job whose record has this file name.
fn job_of(name: &OsStr) -> Option<JobId> {
    name.to_str()?.strip_suffix(RECORD)?.parse().ok()
}

#[cfg(test)]
mod tests;
