//! What is in the archive, for people: without a server, and without the jobs folder.
//!
//! Input: the settings. Output: a list of jobs; a job's folder as it was.
//!
//! Invariants: a restored folder appears as a whole, with the content that was uploaded, or not at all; nothing in the archive
//! is changed.

use super::{
    bucket::Bucket,
    download::{Downloads, JobPart, Line},
    error::{Kind, StorageError},
    names,
};
use crate::{
    config::ArchiveConfig,
    model::{JobId, time::Timestamp},
    pool::Pool,
    store::{
        archive::ArchiveHeader,
        layout::{JobFile, JobsDir},
        new_folder::NewFolder,
    },
};
use futures_util::{Stream, StreamExt, future};
use std::path::{Path, PathBuf};

/// How much of a record is read for its first line at first, and at most.
const HEAD: [u64; 2] = [16 << 10, 1 << 20];
/// How many records are read at once for a list.
const AT_ONCE: usize = 8;

/// A job in the archive.
#[derive(Debug)]
pub struct ArchivedJob {
    pub header: ArchiveHeader,
    pub uploaded_at: Timestamp,
}

/// A job's folder that was restored.
#[derive(Debug)]
pub struct Restored {
    pub path: PathBuf,
    /// When the job ended.
    pub finished_at: Timestamp,
}

/// The archive of the settings, to be read.
#[derive(Debug)]
pub struct ArchiveContents {
    downloads: Downloads,
}

impl ArchiveContents {
    /// The archive of the settings; nothing is contacted.
    ///
    /// # Errors
    /// If the settings cannot be used together.
    pub fn new(settings: &ArchiveConfig) -> Result<Self, StorageError> {
        let bucket = Bucket::new(settings)?;
        let (pool, at_once) = (Pool::new("archive", 2), settings.max_concurrent);
        Ok(Self { downloads: Downloads { bucket, pool, at_once } })
    }

    /// All jobs, in the order of their ids: those that scanwatch created begin with their time.
    pub fn jobs(&self) -> impl Stream<Item = Result<ArchivedJob, StorageError>> + Send + '_ {
        self.downloads
            .bucket
            .list(names::RECORDS)
            .map(async |found| {
                let found = found?;
                let Some(id) = names::job_of_record(&found.name) else { return Ok(None) };
                let header = match self.header(&id).await {
                    // It was removed since it was listed.
                    Err(error) if error.is_absence() => return Ok(None),
                    header => header?,
                };
                Ok(Some(ArchivedJob { header, uploaded_at: found.modified_at }))
            })
            .buffered(AT_ONCE)
            .filter_map(|found: Result<Option<ArchivedJob>, StorageError>| {
                future::ready(found.transpose())
            })
    }

    async fn header(&self, id: &JobId) -> Result<ArchiveHeader, StorageError> {
        let name = names::record(id);
        for most in HEAD {
            let bytes = self.downloads.bucket.head(&name, most).await?;
            if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                return serde_json::from_slice(&bytes[..end]).map_err(|error| {
                    StorageError::new(Kind::Damaged, "read", &name, error.to_string())
                });
            }
        }
        Err(StorageError::new(Kind::Damaged, "read", &name, "its first line is too long"))
    }

    /// Restores the folder of a job into `jobs`, which may be a jobs folder in use or any other folder. Returns its path.
    ///
    /// # Errors
    /// If the job is not in the archive, or its folder exists, or the disk refuses: then there is no folder.
    pub async fn restore(
        &self,
        id: &JobId,
        jobs: &JobsDir,
        mode: u32,
    ) -> Result<Restored, StorageError> {
        let target = jobs.job(id);
        let exists = |path: &Path| {
            StorageError::new(Kind::Local, "restore", &path.display(), "it exists already")
        };
        if target.path().exists() {
            return Err(exists(target.path()));
        }
        let folder = NewFolder::make(jobs, id, mode).map_err(StorageError::of_local)?;
        let job = folder.job();
        let record = folder.temporary("record.jsonl");
        let reader = self.downloads.record(id, &record).await?;
        let finished_at = reader.header().finished_at;
        let place = |part: JobPart, _: &_| {
            Some(match part {
                JobPart::Plan => job.plan(),
                JobPart::Result(index) => job.result(index),
                JobPart::Log(index) => job.log(index),
            })
        };
        let write = |_: &ArchiveHeader, line: Line<'_>| {
            let (file, value) = match line {
                Line::Master(master) => (JobFile::Master, master),
                Line::Repository(line) => (JobFile::Repository(line.index), &line.status),
            };
            if value.is_null() {
                return Ok(());
            }
            folder.write(file, value).map_err(StorageError::of_local)
        };
        self.downloads.files(id, reader, place, write).await?;
        let path = folder.publish().map_err(StorageError::of_local)?;
        Ok(Restored { path, finished_at })
    }
}
