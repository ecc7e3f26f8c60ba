//! When a job rests, and when it is roused.
//!
//! Input: time, and who asks. Output: a job that is packed, without the documents that were made of it.
//! Invariants: a job that somebody follows stays open; documents are dropped with no lock held.

use super::LiveJob;
use crate::live::slot::Slot;
use std::sync::atomic::Ordering::Relaxed;

impl LiveJob {
    /// Packs the job if nobody has asked for it, and nothing of it has changed, since the last time
    /// that this was called. The documents that were made of it are dropped.
    pub(in super::super) fn rest_if_idle(&self) {
        self.rest_if(|slot, _| slot.look_at_use());
    }

    /// Packs the job, whoever has asked for it, if nobody follows it.
    pub(in super::super) fn rest_unless_followed(&self) {
        self.rest_if(|slot, _| !slot.is_followed());
    }

    /// Whether this is the first time that somebody looks it up since it was packed.
    pub(in super::super) fn is_roused(&self) -> bool {
        self.at_rest.load(Relaxed) && self.at_rest.swap(false, Relaxed)
    }

    /// Packs the job if `may` says so, of its data and of whether there are documents of it.
    pub(super) fn rest_if(&self, may: impl FnOnce(&mut Slot, bool) -> bool) {
        let unused = {
            let mut bodies = self.bodies();
            let mut slot = self.lock();
            if !may(&mut slot, bodies.is_some()) {
                return;
            }
            slot.rest();
            self.at_rest.store(true, Relaxed);
            bodies.take()
        };
        if unused.is_some() {
            drop(unused);
            self.board.ledger().relieve();
        }
    }
}
