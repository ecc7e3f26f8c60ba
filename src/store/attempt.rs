//! The files beside a repository's lock: the attempt that began last, and the order to end.
//!
//! A scanner may write in its job's folder, and so beside the lock. A second record of its attempts is
//! kept in `.attempts`, which is closed to a sandboxed scanner; where the two differ, nothing is taken
//! back. A scanner without a sandbox can write both, if it looks for the second.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobDir,
    read,
};
use crate::model::attempt::{AttemptRecord, MOST_ATTEMPTS, Order};
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

/// The attempt that began last, if one ever did.
///
/// # Errors
/// When a record cannot be read because resources are exhausted.
pub fn read(job: &JobDir, index: u32) -> Result<Option<AttemptRecord>, StoreError> {
    let beside = read_one(&job.attempt(index))?;
    Ok(AttemptRecord::agreed(beside, read_one(&job.kept_attempt(index))?))
}

fn read_one(path: &Path) -> Result<Option<AttemptRecord>, StoreError> {
    let bytes = read::if_readable(path, read::STATUS_CAP)?;
    let record = bytes.and_then(|it| serde_json::from_slice::<AttemptRecord>(&it).ok());
    // A scanner may have put it there.
    let sane =
        |it: &AttemptRecord| it.attempt.max(it.interruptions).max(it.retries) < MOST_ATTEMPTS;
    Ok(record.filter(sane))
}

/// Claims an attempt; for its shim, which holds the lock, or the server, when nobody does.
pub fn write(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.attempt(index), record, Durability::Flushed)?;
    let kept = job.kept_attempt(index);
    if kept.exists() { keep(job, index, record) } else { Ok(()) }
}

/// Keeps a second record of an attempt, where a sandboxed scanner cannot write. A power cut may take the
/// newest one, which stands in the other file, but never tears one.
pub fn keep(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    let folder = job.kept_attempts();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(StoreError::at("create", folder))?;
    atomic::replace_json(job.staging(), &job.kept_attempt(index), record, Durability::Content)
}

/// The order for a shim, if one was ever given.
pub fn read_order(job: &JobDir, index: u32) -> Option<Order> {
    let (bytes, _) = read::whole(&job.order(index), read::STATUS_CAP).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Takes back the order, when the shim that it was for is gone: it may have ended before it took
/// its attempt, and the next one that does must not obey.
pub fn remove_order(job: &JobDir, index: u32) -> Result<(), StoreError> {
    let path = job.order(index);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::at("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Leaves an order for a shim; it looks when it is signalled.
pub fn write_order(job: &JobDir, index: u32, order: &Order) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.order(index), order, Durability::Eventual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::JobsDir;

    #[test]
    fn a_number_that_would_overflow_a_sum_is_not_believed() {
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
