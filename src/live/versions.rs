//! Version numbers. Each is used once in a run of the server, whatever it is the version of.
//!
//! Input: requests for a version. Output: a number greater than all previous ones.
//!
//! Invariants: no number is used twice, so an entity tag or an event id of a removed job never
//! identifies a state of another job with the same id.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The source of version numbers; cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(Arc<AtomicU64>);

impl Versions {
    /// The first of this many numbers that nothing else gets.
    pub(super) fn reserve(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Relaxed) + 1
    }

    /// The next number; the first is 1.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}
