//! Thread pools for the reads that answers need, and the admission of expensive ones.
//!
//! Input: work that blocks, and clients that ask for expensive answers. Output: results of that
//! work; an admission, or 503.
//!
//! Invariants: a read for an answer never uses the runtime's own blocking threads, which are
//! reserved for the components that change state.

use super::admission::{Client, ReadAdmission, Reading};
use crate::api::{answers::error::ApiError, auth::User};
use crate::pool::{Lost, Pool};
use std::{net::IpAddr, sync::Arc};
use tokio_util::task::TaskTracker;

/// Threads that read logs and plans, in chunks of a bounded, small size.
const FILES: usize = 4;
/// Threads that read results, megabytes at a time.
const RESULTS: usize = 2;
/// Threads that check the disk: they may hang with the disk, and then must not block other reads.
const CHECKS: usize = 2;

/// The pools and the admission, shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct ReadPools {
    /// For logs and plans.
    pub(crate) files: Pool,
    /// For results, and documents that are generated from them.
    pub(crate) results: Pool,
    /// For the state of the disk.
    pub(crate) checks: Pool,
    /// Owns the tasks that generate documents; each ends with its body, and with the server.
    pub(crate) tasks: TaskTracker,
    admission: Arc<ReadAdmission>,
}

impl ReadPools {
    pub(crate) fn new() -> Self {
        Self {
            files: Pool::new("read-files", FILES),
            results: Pool::new("read-results", RESULTS),
            checks: Pool::new("checks", CHECKS),
            tasks: TaskTracker::new(),
            admission: ReadAdmission::new(),
        }
    }

    /// Admits a request that is expensive to answer, or refuses it.
    pub(crate) fn open(&self, user: &User, peer: Option<IpAddr>) -> Result<Reading, ApiError> {
        self.admission.open(Client::new(user, peer))
    }
}

impl From<Lost> for ApiError {
    fn from(lost: Lost) -> Self {
        Self::internal("read for an answer", &lost)
    }
}
