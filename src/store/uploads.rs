//! What is known here about the uploads of finished jobs to an archive elsewhere: `.results/uploads/` in the jobs folder.
//!
//! Input: jobs whose upload began, was verified, or is to be undone. Output: the same after a restart.
//!
//! ```text
//! .results/uploads/done/<job>.json      the job is in the archive as it is here: the SHA-256 of its master.json
//! .results/uploads/work/<job>/          what is being uploaded: its record and its files, each with a second name
//! .results/uploads/fetched/<job>/       what is being brought back of a job
//! .results/uploads/removals/<job>       the job is to be removed from the archive
//! ```
//!
//! Invariants: a mark is written after the last object was verified, and durable before anything of the job is removed
//! here; the mark of a job that changed since counts for nothing; a removal is durable before its request is answered.

use super::{
    StoreError,
    atomic::{self, Durability},
    io_error::is_absence,
    layout::{JobDir, JobFile, JobsDir},
    read::{self, MASTER_CAP},
    removal,
};
use crate::model::{
    JobId,
    time::{self, Timestamp},
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// The size limit of the files here.
const CAP: u64 = 64 << 10;
/// How the name of a mark ends.
const MARK: &str = ".json";
/// The file that has the number of verified repositories.
const PROGRESS: &str = "progress.json";

/// A job is in the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    pub schema: u32,
    /// The SHA-256 of the job's master.json at the upload; none if the job was no longer here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    #[serde(with = "time")]
    pub uploaded_at: Timestamp,
    pub objects: u64,
    pub bytes: u64,
}

/// How far an upload has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadProgress {
    /// The SHA-256 of the job's master.json when the upload began.
    pub master: Option<String>,
    /// The number of repositories whose files are verified: the first ones of the record.
    pub repositories: u64,
    pub objects: u64,
    pub bytes: u64,
}

/// The state of all uploads of one jobs folder.
#[derive(Debug, Clone)]
pub struct Uploads {
    root: PathBuf,
    staging: PathBuf,
}

impl Uploads {
    /// The uploads of a jobs folder; does not touch the disk.
    pub fn of(jobs: &JobsDir) -> Self {
        Self { root: jobs.result_store().join("uploads"), staging: jobs.staging() }
    }

    /// The mark of a job; `None` if there is none that can be read.
    pub fn mark(&self, id: &JobId) -> Option<Mark> {
        let mark: Mark = parsed(&self.mark_path(id))?;
        (mark.schema == 1).then_some(mark)
    }

    /// Marks a job as uploaded, durably.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_mark(&self, id: &JobId, mark: &Mark) -> Result<(), StoreError> {
        let path = self.mark_path(id);
        self.make(&self.marks())?;
        atomic::replace_json(&self.staging, &path, mark, Durability::Flushed)
    }

    /// Whether a job is in the archive as it is in its folder.
    pub fn has_as_it_is(&self, id: &JobId, job: &JobDir) -> bool {
        self.mark(id).is_some_and(|mark| mark.master.is_some() && mark.master == master_sum(job))
    }

    /// The jobs that have a mark, in no order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn marked(&self) -> Result<Vec<JobId>, StoreError> {
        let job = |name: &OsStr| name.to_str()?.strip_suffix(MARK)?.parse().ok();
        jobs_in(&self.marks(), job)
    }

    /// Removes the mark of a job. Succeeds if there is none.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove_mark(&self, id: &JobId) -> Result<(), StoreError> {
        absent(&self.mark_path(id))
    }

    /// The folder of what is being uploaded of a job, whether or not it exists.
    pub fn workspace(&self, id: &JobId) -> PathBuf {
        self.root.join("work").join(id.as_str())
    }

    /// Creates an empty workspace.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn make_workspace(&self, id: &JobId) -> Result<PathBuf, StoreError> {
        self.remove_workspace(id)?;
        let path = self.workspace(id);
        self.make(&path)?;
        Ok(path)
    }

    /// Removes a workspace. Succeeds if there is none.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove_workspace(&self, id: &JobId) -> Result<(), StoreError> {
        let path = self.workspace(id);
        if read::is_missing_folder(&path) { Ok(()) } else { removal::remove(&self.staging, &path) }
    }

    /// The jobs that have a workspace, in no order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn workspaces(&self) -> Result<Vec<JobId>, StoreError> {
        jobs_in(&self.root.join("work"), |name| name.to_str()?.parse().ok())
    }

    /// Creates an empty folder for what is brought back of a job.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn make_fetch_folder(&self, id: &JobId) -> Result<PathBuf, StoreError> {
        self.remove_fetch_folder(id)?;
        let path = self.fetched(id);
        self.make(&path)?;
        Ok(path)
    }

    /// Removes this folder. Succeeds if there is none.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn remove_fetch_folder(&self, id: &JobId) -> Result<(), StoreError> {
        let path = self.fetched(id);
        if read::is_missing_folder(&path) { Ok(()) } else { removal::remove(&self.staging, &path) }
    }

    /// Removes all of these folders: what a server that was killed left.
    ///
    /// # Errors
    /// The first removal that failed.
    pub fn remove_fetch_folders(&self) -> Result<(), StoreError> {
        let all = jobs_in(&self.root.join("fetched"), |name| name.to_str()?.parse().ok())?;
        all.iter().try_for_each(|id| self.remove_fetch_folder(id))
    }

    fn fetched(&self, id: &JobId) -> PathBuf {
        self.root.join("fetched").join(id.as_str())
    }

    /// How far the upload of a job has come; none if there is no workspace, or it is damaged.
    pub fn progress(&self, id: &JobId) -> Option<UploadProgress> {
        parsed(&self.workspace(id).join(PROGRESS))
    }

    /// Notes how far an upload has come. After a power cut the note may be missing: then the upload begins again.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn note_progress(&self, id: &JobId, progress: &UploadProgress) -> Result<(), StoreError> {
        let path = self.workspace(id).join(PROGRESS);
        atomic::replace_json(&self.staging, &path, progress, Durability::Content)
    }

    /// Notes durably that a job is to be removed from the archive.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn request_removal(&self, id: &JobId) -> Result<(), StoreError> {
        self.make(&self.removals())?;
        let path = self.removals().join(id.as_str());
        atomic::replace(&self.staging, &path, b"", Durability::Flushed)
    }

    /// Whether a job is to be removed from the archive.
    pub fn is_to_be_removed(&self, id: &JobId) -> bool {
        fs::symlink_metadata(self.removals().join(id.as_str())).is_ok()
    }

    /// The jobs that are to be removed from the archive, in no order.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn to_be_removed(&self) -> Result<Vec<JobId>, StoreError> {
        jobs_in(&self.removals(), |name| name.to_str()?.parse().ok())
    }

    /// Notes that a job is removed from the archive.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn note_removed(&self, id: &JobId) -> Result<(), StoreError> {
        self.remove_mark(id)?;
        absent(&self.removals().join(id.as_str()))
    }

    fn make(&self, folder: &Path) -> Result<(), StoreError> {
        let is_new = !folder.exists();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(StoreError::at("create", folder))?;
        if is_new {
            // The inner folders first: a durable name of an outer one includes them.
            for folder in [&self.root, self.root.parent().unwrap_or(&self.root)] {
                atomic::flush_folder(folder)?;
            }
        }
        Ok(())
    }

    fn marks(&self) -> PathBuf {
        self.root.join("done")
    }

    fn removals(&self) -> PathBuf {
        self.root.join("removals")
    }

    fn mark_path(&self, id: &JobId) -> PathBuf {
        self.marks().join(format!("{id}{MARK}"))
    }
}

/// The SHA-256 of a job's master.json; `None` if it cannot be read.
pub fn master_sum(job: &JobDir) -> Option<String> {
    let (bytes, _) = read::whole(&job.file(JobFile::Master), MASTER_CAP).ok()?;
    Some(crate::model::digest::hexadecimal(digest(&SHA256, &bytes).as_ref()))
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let (bytes, _) = read::whole(path, CAP).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn jobs_in(folder: &Path, job: impl Fn(&OsStr) -> Option<JobId>) -> Result<Vec<JobId>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(StoreError::at("list", folder))?,
    };
    let names: io::Result<Vec<_>> =
        entries.map(|entry| entry.map(|entry| job(&entry.file_name()))).collect();
    Ok(names.map_err(StoreError::at("list", folder))?.into_iter().flatten().collect())
}

fn absent(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => atomic::flush_place(path).map_err(StoreError::at("flush the folder of", path)),
        Err(error) if is_absence(&error) => Ok(()),
        Err(error) => Err(StoreError::at("remove", path)(error)),
    }
}
