//! The archive record of a job, and its writer.
//!
//! Input: the folder of a finished job, and what its row in the list of jobs contains. Output: the record.
//!
//! Invariants: the first line is enough for a list of jobs; the lines of repositories are in the order of their numbers;
//! one repository is in memory at a time.

use super::{Archive, Blob, blob::BlobWriter};
use crate::{
    model::{
        JobId, foreign_result,
        master::Master,
        progress::JobFacts,
        state::Summary,
        time::{self, Timestamp},
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        io_error::is_no_file_of_ours,
        layout::{JobDir, JobFile},
        read::{self, MASTER_CAP, STATUS_CAP},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

/// The layout version that scanwatch writes.
pub(super) const SCHEMA: u32 = 1;

/// The first line: the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchiveHeader {
    pub schema: u32,
    pub job: JobId,
    /// Who submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The submitted URL.
    #[serde(default)]
    pub git_url: Option<String>,
    /// The final state.
    pub status: String,
    #[serde(default, with = "time::option")]
    pub started_at: Option<Timestamp>,
    /// When the job was created: the time of its folder, if no file named its start.
    #[serde(with = "time")]
    pub created_at: Timestamp,
    #[serde(default, with = "time::option")]
    pub completed_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The schedule whose run it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    pub summary: Summary,
    #[serde(default)]
    pub skipped: u64,
    #[serde(default)]
    pub discovery_errors: u64,
    /// The end of the job, from which its retention is counted.
    #[serde(with = "time")]
    pub finished_at: Timestamp,
    #[serde(with = "time")]
    pub archived_at: Timestamp,
    /// When the record expires by the settings of its last writer.
    #[serde(with = "time")]
    pub expires_at: Timestamp,
    /// The number of lines that follow the second.
    pub repositories: u64,
    /// repositories.json
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Blob>,
}

/// The second line: the content of master.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedMaster {
    pub master: Value,
}

/// A further line: one repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedRepository {
    pub index: u32,
    /// The content of `repo_N.json`; null if it was not JSON.
    pub status: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Blob>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Blob>,
}

impl ArchiveHeader {
    /// The first line for a finished job. `error` is the reason that its row shows.
    pub fn of(
        facts: &JobFacts,
        error: Option<&str>,
        [finished_at, expires_at]: [Timestamp; 2],
        now: Timestamp,
    ) -> Self {
        Self {
            schema: SCHEMA,
            job: facts.id.clone(),
            user: None,
            git_url: facts.url.as_deref().map(str::to_owned),
            status: facts.state.to_string(),
            started_at: facts.started_at,
            created_at: facts.created_at(),
            completed_at: facts.completed_at,
            error: error.map(str::to_owned),
            schedule: facts.schedule.as_deref().map(str::to_owned),
            summary: facts.summary,
            skipped: facts.skipped,
            discovery_errors: facts.discovery_errors,
            finished_at,
            archived_at: now,
            expires_at,
            repositories: 0,
            plan: None,
        }
    }
}

impl Archive {
    /// Archives a finished job, durably; its folder stays. `header` is what [`ArchiveHeader::of`] returned.
    ///
    /// # Errors
    /// If the disk refuses; there is no new record then, and an old one stays.
    pub fn write(&self, job: &JobDir, header: ArchiveHeader) -> Result<(), StoreError> {
        let _exclusive = Self::exclusive();
        let folder = self.records();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(StoreError::at("create", &folder))?;
        let path = self.record_path(&header.job);
        let mut blobs = BlobWriter::new(self);
        let mut outcome = Ok(());
        let fill = |file: &mut File| {
            let mut writer = BufWriter::new(file);
            // An error of the store names its own path.
            outcome = write_lines(&mut blobs, job, header, &mut writer);
            if outcome.is_ok() {
                outcome = std::mem::replace(&mut blobs, BlobWriter::new(self)).flush();
            }
            if outcome.is_err() {
                return Err(io::Error::other("its content is missing"));
            }
            writer.flush()
        };
        // The record is renamed into place after its blobs are durable.
        let written = atomic::replace_with(self.staging(), &path, fill, Durability::Flushed);
        outcome?;
        written?;
        // The folder of records may be new, and the one above it.
        let flush = |folder: &Path| atomic::flush_folder(folder);
        self.root.ancestors().take(2).try_for_each(flush)
    }
}

fn write_lines(
    blobs: &mut BlobWriter<'_>,
    job: &JobDir,
    mut header: ArchiveHeader,
    to: &mut impl Write,
) -> Result<(), StoreError> {
    let indexes = indexes(job)?;
    let bytes = whole(job, JobFile::Master, MASTER_CAP)?.unwrap_or_default();
    let (master, _) = Master::parse(&bytes).unwrap_or_default();
    header.user = master.submitted_by;
    header.repositories = indexes.len() as u64;
    header.plan = blobs.store(&job.plan())?;
    write_line(job, to, &header)?;
    write_line(job, to, &ArchivedMaster { master: parsed(&bytes) })?;
    drop(bytes);
    for index in indexes {
        let bytes = whole(job, JobFile::Repository(index), STATUS_CAP)?.unwrap_or_default();
        let mut status = parsed(&bytes);
        let mut result = blobs.store(&job.result(index))?;
        if result.is_none()
            && let Some(text) = foreign_result::convert(&bytes, &JobFile::Repository(index).name())
        {
            result = Some(blobs.store_text(&text)?);
            if let Value::Object(members) = &mut status {
                members.shift_remove("scan_result");
            }
        }
        let log = blobs.store(&job.log(index))?;
        write_line(job, to, &ArchivedRepository { index, status, result, log })?;
    }
    Ok(())
}

fn write_line(job: &JobDir, to: &mut impl Write, line: &impl Serialize) -> Result<(), StoreError> {
    let written = serde_json::to_writer(&mut *to, line).map_err(io::Error::from);
    written
        .and_then(|()| to.write_all(b"\n"))
        .map_err(StoreError::at("write the archive record of", job.path()))
}

/// The numbers of the repositories that have a status file, in order.
fn indexes(job: &JobDir) -> Result<Vec<u32>, StoreError> {
    let at = || StoreError::at("list", job.path());
    let mut indexes = Vec::new();
    for entry in fs::read_dir(job.path()).map_err(at())? {
        if let Some(JobFile::Repository(index)) = JobFile::parse(&entry.map_err(at())?.file_name())
        {
            indexes.push(index);
        }
    }
    indexes.sort_unstable();
    Ok(indexes)
}

/// The content of a file; `None` if there is no such file of ours.
fn whole(job: &JobDir, file: JobFile, cap: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let path = job.file(file);
    match read::whole(&path, cap) {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if is_no_file_of_ours(&error) => Ok(None),
        Err(error) => Err(StoreError::at("archive", path)(error)),
    }
}

fn parsed(bytes: &[u8]) -> Value {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}
