//! Packs a job that is not in use, and notices when it is requested again.
//!
//! Input: the visits of the clean-up, and requests. Output: a packed job, without the documents
//! that were made from it.
//!
//! Invariants: a job with readers that wait for changes stays open; documents are dropped while no
//! lock is held.

use super::LiveJob;
use crate::{
    live::{
        job_index::{JobEntry, JobIndex},
        packable::PackableData,
        packed,
    },
    model::JobId,
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The bytes of the length of a packed row.
const ROW_LENGTH: usize = 4;

impl LiveJob {
    /// The packed job with its row, from which [`of_packed_copy`](Self::of_packed_copy) makes the same
    /// job; `None` if it is not packed.
    pub(in super::super) fn packed_copy(&self) -> Option<Vec<u8>> {
        let data = self.lock();
        let packed = data.packed()?;
        let row = self.entry.with_row(packed::pack_row);
        let length = u32::try_from(row.len()).ok()?.to_le_bytes();
        Some([&length, &*row, packed].concat())
    }

    /// A job of which this copy was made, perhaps in an earlier run of the server. It gets new
    /// versions. [`finalize`](Self::finalize) adds it to the index.
    pub(in super::super) fn of_packed_copy(
        id: JobId,
        job_index: Arc<JobIndex>,
        copy: &[u8],
    ) -> Option<Self> {
        let (length, rest) = copy.split_first_chunk::<ROW_LENGTH>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (row, packed) = rest.split_at_checked(length)?;
        let packed = packed::renumbered(packed, job_index.versions());
        Some(Self {
            entry: JobEntry::new(packed::unpack_row(row, id)),
            job_index,
            data: Mutex::new(PackableData::of_packed(packed)),
            bodies: Mutex::default(),
            estimates: Mutex::default(),
            packed: AtomicBool::new(true),
        })
    }

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
