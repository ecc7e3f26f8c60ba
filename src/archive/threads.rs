//! Blocking work of the archive.
//!
//! Input: a closure that reads or writes files. Output: its result. Invariants: it runs on a thread of the pool, and a panic in
//! it is an error of its caller alone.

use super::error::StorageError;
use crate::pool::Pool;
use std::io;

/// Runs blocking work on a thread of the pool.
pub(super) async fn blocking<T: Send + 'static>(
    pool: &Pool,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let lost =
        |lost| StorageError::of_disk("use", "a thread of the archive")(io::Error::from(lost));
    pool.run(work).await.map_err(lost)?
}
