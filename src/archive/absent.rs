//! The archive of a program that was built without object storage: there is none.
//!
//! Input: none. Output: none. Invariants: no value of [`ObjectArchive`] exists, so nothing here ever runs; settings that name an
//! archive were refused before.

use super::{ArchiveCounts, Availability};
use crate::{
    config::{ArchiveConfig, CurrentConfig},
    live::{Live, LiveJob},
    model::JobId,
    sbom::Document,
    store::{StoreError, layout::JobsDir},
};
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The archive, which does not exist.
#[derive(Debug, Clone, Copy)]
pub enum ObjectArchive {}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
#[error("this program was built without object storage")]
pub struct StorageError;

#[expect(
    clippy::unused_async,
    reason = "the signatures are those of a program with object storage"
)]
impl ObjectArchive {
    /// Opens no archive.
    ///
    /// # Errors
    /// Always.
    pub async fn open(_: &ArchiveConfig, _: &JobsDir) -> Result<Self, StorageError> {
        Err(StorageError)
    }

    /// Starts nothing.
    pub fn start(
        &self,
        _: Arc<Live>,
        _: CurrentConfig,
        _: impl Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync + 'static,
        _: &TaskTracker,
        _: CancellationToken,
    ) {
        match *self {}
    }

    /// Whether a finished job may be removed here.
    pub async fn may_remove(&self, _: &JobId) -> bool {
        match *self {}
    }

    /// Whether the record of an archived job may be removed here.
    pub fn may_forget(&self, _: &JobId) -> bool {
        match *self {}
    }

    /// Brings a job back.
    pub async fn bring_back(&self, _: &JobId) -> Availability {
        match *self {}
    }

    /// Whether a job is in the archive.
    pub async fn find(&self, _: &JobId) -> Availability {
        match *self {}
    }

    /// Removes a job.
    ///
    /// # Errors
    /// None.
    pub async fn remove(&self, _: &JobId) -> Result<(), StoreError> {
        match *self {}
    }

    /// The state, for /metrics.
    pub fn counts(&self) -> ArchiveCounts {
        match *self {}
    }

    /// Why the service is degraded on this side.
    pub fn problem(&self) -> Option<String> {
        match *self {}
    }
}
