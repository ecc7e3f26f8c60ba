//! Downloads a job.
//!
//! Input: the id of a job in the archive. Output: its record and its files, all of them as they were uploaded.
//!
//! Invariants: a file has the SHA-256 that the record names, or the download fails; one portion of repositories is in memory,
//! whatever the size of the job.

use super::{
    bucket::Bucket,
    error::{Kind, StorageError},
    names,
    parts::Content,
    sealed,
    threads::blocking,
};
use crate::{
    model::JobId,
    pool::Pool,
    store::archive::{ArchiveHeader, ArchiveReader, ArchivedRepository, Blob},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How many repositories are read at once.
const PORTION: usize = 64;
/// The size limit of a record.
const MOST_OF_RECORD: u64 = 4 << 30;
/// How often a file is tried.
const ATTEMPTS: u32 = 3;

/// A file of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobPart {
    Plan,
    Result(u32),
    Log(u32),
}

impl JobPart {
    fn name(self, id: &JobId) -> String {
        match self {
            Self::Plan => names::plan(id),
            Self::Result(index) => names::result(id, index),
            Self::Log(index) => names::log(id, index),
        }
    }
}

/// Downloads jobs.
#[derive(Debug, Clone)]
pub(super) struct Downloads {
    pub(super) bucket: Bucket,
    pub(super) pool: Pool,
    pub(super) at_once: usize,
}

impl Downloads {
    /// Downloads the record of a job to `path`, and opens it.
    ///
    /// # Errors
    /// An absence if the job is not in the archive.
    pub(super) async fn record(
        &self,
        id: &JobId,
        path: &Path,
    ) -> Result<ArchiveReader, StorageError> {
        let name = names::record(id);
        let mut attempt = 1;
        loop {
            let at = path.to_owned();
            let file = blocking(&self.pool, move || new_file(&at)).await?;
            let read = match self.bucket.download(&name, file, MOST_OF_RECORD).await {
                Ok((file, _)) => self.open(file, path, &name).await,
                Err(error) => Err(error),
            };
            match read {
                Err(error) if is_worth_repeating(&error) && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn open(
        &self,
        mut file: File,
        path: &Path,
        name: &str,
    ) -> Result<ArchiveReader, StorageError> {
        let (path, name) = (path.to_owned(), name.to_owned());
        blocking(&self.pool, move || {
            let damaged = |cause: &str| StorageError::new(Kind::Damaged, "read", &name, cause);
            match sealed::is_whole(&mut file) {
                Ok(true) => {}
                Ok(false) => return Err(damaged("its last line does not match")),
                Err(error) => return Err(damaged(&error.to_string())),
            }
            ArchiveReader::of_file(file, &path).map_err(|error| damaged(&error.to_string()))
        })
        .await
    }

    /// Downloads the files that a record names. `place` is where a file goes; `None` if it is not wanted. `seen` is called with
    /// every repository, in their order, before its files.
    pub(super) async fn files(
        &self,
        id: &JobId,
        mut reader: ArchiveReader,
        place: impl Fn(JobPart, &Blob) -> Option<PathBuf> + Sync,
        mut seen: impl FnMut(&ArchiveHeader, Line<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let header = reader.header().clone();
        if let Some(blob) = &header.plan
            && let Some(path) = place(JobPart::Plan, blob)
        {
            self.file(id, JobPart::Plan, blob, &path).await?;
        }
        let (master, returned) = blocking(&self.pool, move || {
            let master = reader.master().map_err(|error| unreadable(&error))?;
            Ok((master, reader))
        })
        .await?;
        seen(&header, Line::Master(&master.master))?;
        let mut reader = returned;
        loop {
            let (portion, returned) = blocking(&self.pool, move || {
                let mut portion = Vec::new();
                while portion.len() < PORTION
                    && let Some(line) = reader.repository().map_err(|error| unreadable(&error))?
                {
                    portion.push(line);
                }
                Ok((portion, reader))
            })
            .await?;
            reader = returned;
            if portion.is_empty() {
                return Ok(());
            }
            let mut wanted = Vec::new();
            for line in &portion {
                seen(&header, Line::Repository(line))?;
                let parts = [
                    (JobPart::Result(line.index), &line.result),
                    (JobPart::Log(line.index), &line.log),
                ];
                wanted.extend(parts.into_iter().filter_map(|(part, blob)| {
                    let blob = blob.as_ref()?;
                    Some((part, blob.clone(), place(part, blob)?))
                }));
            }
            stream::iter(wanted)
                .map(|(part, blob, path)| async move { self.file(id, part, &blob, &path).await })
                .buffer_unordered(self.at_once)
                .try_collect::<()>()
                .await?;
        }
    }

    /// Downloads one file.
    async fn file(
        &self,
        id: &JobId,
        part: JobPart,
        blob: &Blob,
        path: &Path,
    ) -> Result<(), StorageError> {
        let name = part.name(id);
        let expected = Content { size: blob.size(), sha256: blob.sha256().to_owned() };
        let mut attempt = 1;
        loop {
            let at = path.to_owned();
            let file = blocking(&self.pool, move || new_file(&at)).await?;
            let outcome = match self.bucket.download(&name, file, blob.size()).await {
                Ok((_, content)) if content == expected => return Ok(()),
                Ok(_) => Err(StorageError::new(Kind::Damaged, "read", &name, "")),
                // Without its files, a record is damaged.
                Err(error) if error.is_absence() => Err(error.with_kind(Kind::Damaged)),
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if is_worth_repeating(&error) && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }
}

/// A line of a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'a> {
    Master(&'a serde_json::Value),
    Repository(&'a ArchivedRepository),
}

fn is_worth_repeating(error: &StorageError) -> bool {
    matches!(error.kind, Kind::Damaged | Kind::Unavailable)
}

fn unreadable(error: &impl std::error::Error) -> StorageError {
    StorageError::new(Kind::Damaged, "read", "an archive record", error.to_string())
}

/// An empty file at this path.
fn new_file(path: &Path) -> Result<File, StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o640);
    options.open(path).map_err(StorageError::of_disk("write", &path.display()))
}
