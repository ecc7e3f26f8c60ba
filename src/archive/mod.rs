//! The archive in object storage: the second tier of what is kept of finished jobs.
//!
//! Input: finished jobs, requests for jobs that are no longer here. Output: objects in the bucket of the settings; files of
//! archived jobs, brought back here.
//!
//! ```text
//! live ─► task: which jobs are not there? ─► upload: record, results, SBOMs, logs ─► bucket: upload, read back, compare
//!                                            └► mark (store::uploads) ─► clean-up may remove the job here
//! ```
//!
//! Invariants:
//! - Nothing of a job is removed here before all its objects have been read back with the expected SHA-256.
//! - The storage may be slow, wrong, full or away for days: uploads wait, and nothing else does.
//! - No credentials are in objects: the files of jobs contain none.

#[cfg(not(feature = "archive"))]
mod absent;
#[cfg(feature = "archive")]
mod backoff;
#[cfg(feature = "archive")]
mod bucket;
#[cfg(feature = "archive")]
mod contents;
mod counts;
#[cfg(feature = "archive")]
mod download;
#[cfg(feature = "archive")]
mod error;
#[cfg(feature = "archive")]
mod fetch;
#[cfg(feature = "archive")]
mod fetches;
#[cfg(feature = "archive")]
mod handle;
#[cfg(feature = "archive")]
mod names;
#[cfg(feature = "archive")]
mod parts;
#[cfg(feature = "archive")]
mod providers;
#[cfg(feature = "archive")]
mod removal;
#[cfg(feature = "archive")]
mod sealed;
#[cfg(feature = "archive")]
mod shared;
#[cfg(feature = "archive")]
mod task;
#[cfg(feature = "archive")]
mod threads;
#[cfg(feature = "archive")]
mod upload;

#[cfg(not(feature = "archive"))]
pub use absent::{ObjectArchive, StorageError};
#[cfg(feature = "archive")]
pub use contents::{ArchiveContents, ArchivedJob, Restored};
pub use counts::{ArchiveCounts, Availability};
#[cfg(feature = "archive")]
pub use error::StorageError;
#[cfg(feature = "archive")]
pub use handle::ObjectArchive;
