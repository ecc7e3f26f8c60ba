//! The files beside a repository's lock: the attempt that began last, and the order to end.

use super::{
    StoreError,
    atomic::{self, Durability},
    layout::JobDir,
    read,
};
use crate::model::attempt::{AttemptRecord, MOST_ATTEMPTS, Order};

/// The attempt that began last, if one ever did.
///
/// # Errors
/// Where that cannot be told for want of means.
pub fn read(job: &JobDir, index: u32) -> Result<Option<AttemptRecord>, StoreError> {
    let bytes = read::if_readable(&job.attempt(index), read::STATUS_CAP)?;
    let record = bytes.and_then(|it| serde_json::from_slice::<AttemptRecord>(&it).ok());
    // A scanner may have put it there.
    let sane =
        |it: &AttemptRecord| it.attempt.max(it.interruptions).max(it.retries) < MOST_ATTEMPTS;
    Ok(record.filter(sane))
}

/// Claims an attempt; for its shim, which holds the lock, or the server, when nobody does.
pub fn write(job: &JobDir, index: u32, record: &AttemptRecord) -> Result<(), StoreError> {
    atomic::replace_json(job.staging(), &job.attempt(index), record, Durability::Flushed)
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
