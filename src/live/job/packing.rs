//! Packs a job that is not in use, and notices when it is requested again.
//!
//! Input: the visits of the clean-up, and requests. Output: a packed job, without the documents
//! that were made from it.
//!
//! Invariants: a job with readers that wait for changes stays open; documents are dropped while no
//! lock is held.

use super::LiveJob;
use crate::live::packable::PackableData;
use std::sync::atomic::Ordering::Relaxed;

impl LiveJob {
    /// Packs the job, and drops its documents, if it has neither been requested nor changed since
    /// the last call.
    pub(in super::super) fn pack_if_idle(&self) {
        self.pack_if(|data, _| data.check_use());
    }

    /// Packs the job, even if it was requested recently, unless a reader waits for changes.
    pub(in super::super) fn pack_unless_followed(&self) {
        self.pack_if(|data, _| !data.is_followed());
    }

    /// Packs the job unless a reader waits for changes, or documents were made from it.
    pub(super) fn pack_unless_used(&self) {
        self.pack_if(|data, has_bodies| !has_bodies && !data.is_followed());
    }

    /// Whether this is the first look-up since the job was packed. Resets the mark.
    pub(in super::super) fn take_reopened(&self) -> bool {
        self.packed.load(Relaxed) && self.packed.swap(false, Relaxed)
    }

    /// Packs the job if `may` returns true. `may` gets the data, and whether documents of the job
    /// exist.
    pub(super) fn pack_if(&self, may: impl FnOnce(&mut PackableData, bool) -> bool) {
        let unused = {
            let mut bodies = self.bodies();
            let mut data = self.lock();
            if !may(&mut data, bodies.is_some()) {
                return;
            }
            data.pack();
            self.packed.store(true, Relaxed);
            bodies.take()
        };
        if unused.is_some() {
            drop(unused);
            self.job_index.ledger().enforce_limit();
        }
    }
}
