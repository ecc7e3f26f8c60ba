//! What the writer of a document shares with the consumer of its pieces.
//!
//! Input: the limits of a document. Output: the piece that is being written, and the index of components.
//! Invariants: a lock is never held while the writer waits for the consumer.

use super::components::Index;
use std::{
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// Limits of a document's memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// For the index of components.
    pub components: usize,
    /// For each of the two lists of one component: locations and texts.
    pub component: usize,
    /// For a piece, in addition to what is written at once.
    pub piece: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { components: 12 << 20, component: 4 << 20, piece: 32 << 10 }
    }
}

/// State that the writer shares with the consumer of the pieces.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) out: Mutex<Vec<u8>>,
    pub(super) index: Mutex<Index>,
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Yields the thread once.
pub(super) async fn suspended() {
    let mut has_yielded = false;
    poll_fn(|_| {
        if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
