//! What answers are read with: pools of threads by purpose, and the desk that says whose turn it is.
//!
//! Invariants: reading for an answer uses none of the runtime's own blocking threads, which belong to
//! those parts that change something.

use super::{
    ApiError,
    desk::{Client, Desk, Reading},
    route::Call,
};
use crate::pool::{Lost, Pool};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Threads that read logs and plans: pieces of a known, small size.
const FILES: usize = 4;
/// Threads that read results: megabytes at a time.
const RESULTS: usize = 2;
/// Threads that ask how the disk is: they may hang with it, and then nobody else shall.
const CHECKS: usize = 2;

/// Pools and desk, shared by all handlers.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    /// For logs and plans.
    pub(super) files: Pool,
    /// For results, and what is made of them.
    pub(super) results: Pool,
    /// For the state of the disk.
    pub(super) checks: Pool,
    /// Owns the documents that are worked on; each ends with its body, and with the server.
    pub(super) tasks: TaskTracker,
    desk: Arc<Desk>,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self {
            files: Pool::new("read-files", FILES),
            results: Pool::new("read-results", RESULTS),
            checks: Pool::new("checks", CHECKS),
            tasks: TaskTracker::new(),
            desk: Desk::new(),
        }
    }

    /// Lets a request in that is expensive to answer, or not.
    pub(super) fn open<const N: usize>(&self, call: &Call<N>) -> Result<Reading, ApiError> {
        self.desk.open(Client::new(&call.user, call.peer))
    }
}

impl From<Lost> for ApiError {
    fn from(lost: Lost) -> Self {
        Self::internal("read for an answer", &lost)
    }
}
