//! The record of a target's newest result, and the result itself.
//!
//! Input: a target, and result files. Output: an opened result that is what its record describes; a result file of another
//! job, made from it.
//!
//! Invariants: an opened result does not change and does not vanish; whatever is wrong with a record or a result, it
//! counts as missing.

use super::{
    ResultKey, ResultStore,
    head::{Head, Names},
    is_commit,
};
use crate::{
    model::{
        JobId,
        digest::hexadecimal,
        time::{self, Timestamp},
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        read,
    },
};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::SystemTime,
};

/// The size limit of a record.
const RECORD_CAP: u64 = 64 << 10;
/// The longest digest of files that is stored.
const LONGEST_DIGEST: usize = 128;

/// The newest result of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub commit: String,
    /// The digest of everything that the scanner read of the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_digest: Option<String>,
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(flatten)]
    pub facts: Facts,
    /// The size of the result in bytes, and its SHA-256.
    pub size: u64,
    pub sha256: String,
}

/// The scan that produced a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub job_id: JobId,
    pub repo_index: u32,
    pub repo_name: String,
    #[serde(with = "time")]
    pub produced_at: Timestamp,
}

/// Figures for the status of a repository whose result is reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies_found: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_files: Option<u64>,
}

/// A stored result that was opened and checked.
#[derive(Debug)]
pub struct Stored {
    target: ResultKey,
    record: Record,
    file: File,
    head: Head,
}

impl Stored {
    /// The content of the record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Writes a result from this one, for the same target and perhaps another commit, fsynced.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write_result(
        &mut self,
        staging: &Path,
        path: &Path,
        names: &Names<'_>,
    ) -> Result<(), StoreError> {
        let mut head = self.head.clone();
        let is_changed = head.set(names);
        let file = &mut self.file;
        let write_content = |to: &mut File| {
            if is_changed {
                return head.write(file, to);
            }
            file.rewind()?;
            // Files are copied by the kernel, which shares their blocks where the file system can.
            io::copy(file, to).map(drop)
        };
        atomic::replace_with(staging, path, write_content, Durability::Flushed)
    }
}

impl ResultStore {
    /// Opens the newest result of a target; `None` if there is none that is intact.
    pub fn open(&self, target: &ResultKey) -> Option<Stored> {
        let (bytes, _) = read::whole(&self.record(target), RECORD_CAP).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        if record.schema != 1 || !is_commit(&record.commit) {
            return None;
        }
        let mut file = read::open(&self.content(target, &record.commit)).ok()?;
        let (size, sha256) = sum(&mut file).ok()?;
        if size != record.size || sha256 != record.sha256 {
            return None;
        }
        let head = Head::read(&mut file).ok()??;
        Some(Stored { target: target.clone(), record, file, head })
    }

    /// Notes that a result was reused, which keeps it. The time of the record's file is that of the last use.
    pub fn note_use(&self, stored: &Stored) {
        let path = self.record(&stored.target);
        // Without this note the result expires earlier, and the repository is scanned again.
        let _ = OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Stores a result file as the newest result of a target. Returns whether it can be reused; a result that has no commit,
    /// or local changes, cannot.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn store(
        &self,
        target: &ResultKey,
        result: &Path,
        commit: Option<&str>,
        files_digest: Option<&str>,
        origin: Origin,
        facts: Facts,
    ) -> Result<bool, StoreError> {
        let mut file = read::open(result).map_err(at(result))?;
        let (head, normalized) = if let Some(head) = Head::read(&mut file).map_err(at(result))? {
            (head, None)
        } else {
            let Some(bytes) = Head::normalized(&mut file).map_err(at(result))? else {
                return Ok(false);
            };
            let Ok(Some(head)) = Head::read(&mut io::Cursor::new(&bytes)) else {
                return Ok(false);
            };
            (head, Some(bytes))
        };
        let named = head.commit();
        let Some(commit) = commit.or(named).filter(|commit| is_commit(commit)) else {
            return Ok(false);
        };
        if !head.is_of_commit() || named.is_some_and(|named| named != commit) {
            return Ok(false);
        }
        let shard = self.shard(target);
        DirBuilder::new().recursive(true).mode(0o700).create(&shard).map_err(at(&shard))?;
        let content = self.content(target, commit);
        let mut stored = (0, String::new());
        let write_content = |to: &mut File| {
            if let Some(bytes) = &normalized {
                to.write_all(bytes)?;
            } else {
                file.rewind()?;
                io::copy(&mut file, to)?;
            }
            stored = sum(to)?;
            Ok(())
        };
        atomic::replace_with(self.staging(), &content, write_content, Durability::Eventual)?;
        let record = Record {
            schema: 1,
            commit: commit.to_owned(),
            files_digest: files_digest
                .filter(|text| text.len() <= LONGEST_DIGEST)
                .map(str::to_owned),
            origin,
            facts,
            size: stored.0,
            sha256: stored.1,
        };
        let path = self.record(target);
        atomic::replace_json(self.staging(), &path, &record, Durability::Eventual)?;
        Ok(true)
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    StoreError::at("store", path.to_owned())
}

/// The size of a file and its SHA-256, from its beginning.
///
/// # Errors
/// If the file cannot be read.
pub fn sum(file: &mut File) -> io::Result<(u64, String)> {
    file.rewind()?;
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok((size, hexadecimal(context.finish().as_ref()))),
            Ok(length) => {
                context.update(&piece[..length]);
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
