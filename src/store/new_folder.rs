//! The folder of a job that is being restored.
//!
//! Input: a jobs folder, and a job's id. Output: the job's folder. Invariants: the folder is made in `.staging` and renamed as
//! a whole; one that is not published is removed; a restart removes what a killed process left, after a day, because
//! restoring a large job takes long.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::{JobDir, JobFile, JobsDir},
};
use crate::model::JobId;
use rustix::fs::syncfs;
use serde_json::Value;
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
};

/// The prefix of such folders in `.staging`.
pub(super) const PREFIX: &str = "restore-";

/// A folder that is being made.
#[derive(Debug)]
pub struct NewFolder {
    /// A jobs folder of its own.
    inner: Option<tempfile::TempDir>,
    job: JobDir,
    target: PathBuf,
    /// `.staging`, if it was made for this folder.
    staging: Option<PathBuf>,
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        drop(self.inner.take());
        if let Some(staging) = &self.staging {
            // One that is not empty is in use by others.
            let _ = fs::remove_dir(staging);
        }
    }
}

impl NewFolder {
    /// An empty folder for a job of this jobs folder, which is created with `mode` unless it exists.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn make(jobs: &JobsDir, id: &JobId, mode: u32) -> Result<Self, StoreError> {
        let staging = jobs.staging();
        let is_new = !staging.exists();
        jobs.create(mode)?;
        let inner = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(mode))
            .tempdir_in(&staging)
            .map_err(StoreError::at("create a folder in", &staging))?;
        let own = JobsDir::new(inner.path())?;
        own.create(mode)?;
        let job = own.job(id);
        for name in ["", "results", "logs", "locks"] {
            let path = job.path().join(name);
            DirBuilder::new().mode(mode).create(&path).map_err(StoreError::at("create", &path))?;
        }
        let target = jobs.job(id).path().to_owned();
        Ok(Self { inner: Some(inner), job, target, staging: is_new.then_some(staging) })
    }

    /// Where the files of the job go.
    pub fn job(&self) -> &JobDir {
        &self.job
    }

    /// A file that is needed meanwhile.
    pub fn temporary(&self, name: &str) -> PathBuf {
        self.job.staging().join(name)
    }

    /// Writes a status file, or the job's own.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, file: JobFile, value: &Value) -> Result<(), StoreError> {
        atomic::replace_json(self.job.staging(), &self.job.file(file), value, Durability::Eventual)
    }

    /// Makes everything durable, and renames the folder into place. Returns its path.
    ///
    /// # Errors
    /// If the disk refuses, or the job has a folder already.
    pub fn publish(self) -> Result<PathBuf, StoreError> {
        let at = || StoreError::at("flush", self.job.path());
        let opened = File::open(self.job.path()).map_err(at())?;
        // One flush instead of one for each of thousands of files.
        syncfs(&opened).map_err(io::Error::from).map_err(at())?;
        fs::rename(self.job.path(), &self.target)
            .map_err(StoreError::at("create", &self.target))?;
        let flushed = atomic::flush_place(&self.target);
        flushed.map_err(StoreError::at("flush the folder of", &self.target))?;
        Ok(self.target.clone())
    }
}
