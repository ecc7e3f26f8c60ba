//! The files beside a repository's lock: the record of the last attempt, and the order to stop it.
//!
//! Input: records and orders. Output: the same, as far as they can be trusted.
//!
//! Invariants: a scanner may be able to write in its job's folder, and so beside the lock. A second
//! record is therefore kept in `.attempts`, which a sandboxed scanner cannot access; if the two
//! differ, the later attempt counts. A scanner without a sandbox can write both.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobDir,
    read,
};
use crate::model::attempt::{AttemptRecord, MOST_ATTEMPTS, Order};
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

/// The record of the attempt that began last, if any.
///
/// # Errors
/// If a record cannot be read because resources are exhausted.
pub fn read(job: &JobDir, index: u32) -> Result<Option<AttemptRecord>, StoreError> {
    let beside = read_one(&job.attempt(index))?;
    Ok(AttemptRecord::agreed(beside, read_one(&job.kept_attempt(index))?))
}

fn read_one(path: &Path) -> Result<Option<AttemptRecord>, StoreError> {
    let bytes = read::if_readable(path, read::STATUS_CAP)?;
    let record = bytes.and_then(|bytes| serde_json::from_slice::<AttemptRecord>(&bytes).ok());
    // A scanner may have written the file.
    let sane = |record: &AttemptRecord| {
        record.attempt.max(record.interruptions).max(record.retries) < MOST_ATTEMPTS
    };
    Ok(record.filter(sane))
}

/// Claims an attempt. Called by its shim, which holds the lock, or by the server if nobody holds
/// it.
pub fn write(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.attempt(index), record, Durability::Flushed)?;
    let kept = job.kept_attempt(index);
    if kept.exists() { keep(job, index, record) } else { Ok(()) }
}

/// Claims an attempt, with a second record of it.
///
/// # Errors
/// If the disk refuses.
pub fn write_both(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.attempt(index), record, Durability::Flushed)?;
    keep(job, index, record)
}

/// Keeps a second record of an attempt where a sandboxed scanner cannot write. A power cut may lose
/// the newest one, which the other file still has, but never tears one.
pub fn keep(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    let folder = job.kept_attempts();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(StoreError::at("create", folder))?;
    atomic::replace_json(job.staging(), &job.kept_attempt(index), record, Durability::Content)
}

/// The order for a shim, if one was given.
pub fn read_order(job: &JobDir, index: u32) -> Option<Order> {
    let (bytes, _) = read::whole(&job.order(index), read::STATUS_CAP).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Removes the order after its shim has exited: the shim may have exited before it claimed its
/// attempt, and the next shim that claims it must not obey the order.
pub fn remove_order(job: &JobDir, index: u32) -> Result<(), StoreError> {
    let path = job.order(index);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::at("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Writes an order for a shim, which reads it when it is signalled.
pub fn write_order(job: &JobDir, index: u32, order: &Order) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.order(index), order, Durability::Eventual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::JobsDir;

    #[test]
    fn an_implausibly_large_attempt_number_is_ignored() {
        let root = tempfile::tempdir().unwrap();
        let job = JobsDir::new(root.path()).unwrap().job(&"job".parse().unwrap());
        std::fs::create_dir_all(job.path().join("locks")).unwrap();
        for (number, believed) in [(7, true), (MOST_ATTEMPTS, false), (u64::MAX, false)] {
            let text = format!(
                r#"{{"schema":1,"attempt":{number},"interruptions":0,"started_at":"2026-01-01T00:00:00Z"}}"#
            );
            atomic::replace(root.path(), &job.attempt(0), text.as_bytes(), Durability::Eventual)
                .unwrap();
            assert_eq!(read(&job, 0).unwrap().is_some(), believed, "{number}");
        }
    }
}
