//! The data of one job, which is either open or packed.
//!
//! Input: reads, changes, and the visits of the clean-up. Output: the open data.
//!
//! Invariants: a read always gets open data, complete as before it was packed; data that was
//! neither read nor changed between two visits (see [`PackableData::check_use`]) is packed. If it
//! is too large to be packed in one step, everything that can be made again from the files' content
//! is dropped.

use super::{job_data::JobData, job_index::JobEntry, versions::Versions};
use tokio::sync::watch;

/// A job of more repositories is not packed, because packing and unpacking lock the job for about a
/// microsecond per repository.
const MAX_PACKED: usize = 1_000;

#[derive(Debug)]
pub(super) struct PackableData {
    open: Option<Box<JobData>>,
    /// The packed form, if the data is not open.
    packed: Box<[u8]>,
    used: Used,
    pub(super) removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Used {
    SinceLastCheck,
    Before,
    /// The data has been packed, or its derived parts were dropped.
    NotSincePacked,
}

impl PackableData {
    pub(super) fn new(data: JobData) -> Self {
        Self {
            open: Some(Box::new(data)),
            packed: Box::default(),
            used: Used::SinceLastCheck,
            removed: false,
        }
    }

    /// Data that was packed before.
    pub(super) fn of_packed(packed: Box<[u8]>) -> Self {
        Self { open: None, packed, used: Used::NotSincePacked, removed: false }
    }

    /// The packed form; `None` if the data is open.
    pub(super) fn packed(&self) -> Option<&[u8]> {
        self.open.is_none().then_some(&*self.packed)
    }

    /// The data, for a read or a change.
    pub(super) fn open(&mut self, entry: &JobEntry, versions: &Versions) -> &mut JobData {
        self.used = Used::SinceLastCheck;
        let packed = &mut self.packed;
        self.open.get_or_insert_with(|| {
            let packed = std::mem::take(packed);
            Box::new(JobData::unpack(&packed, entry.with_row(Clone::clone), versions.clone()))
        })
    }

    /// Whether the data may be packed: nobody waits for changes, and it has not been used since the
    /// last call.
    pub(super) fn check_use(&mut self) -> bool {
        match self.used {
            Used::SinceLastCheck => {
                self.used = Used::Before;
                false
            }
            Used::Before => !self.is_followed(),
            Used::NotSincePacked => false,
        }
    }

    /// Whether a reader waits for changes.
    pub(super) fn is_followed(&self) -> bool {
        self.changes().is_some_and(|changes| changes.receiver_count() > 0)
    }

    /// The channel of the readers that wait for changes, if there ever were any.
    pub(super) fn changes(&self) -> Option<&watch::Sender<u64>> {
        self.open.as_ref()?.changes.as_ref()
    }

    /// Packs the data, or drops its derived parts if it is too large.
    pub(super) fn pack(&mut self) {
        let Some(mut data) = self.open.take() else { return };
        self.used = Used::NotSincePacked;
        if data.repositories.len() <= MAX_PACKED {
            self.packed = data.pack();
        } else {
            data.drop_derived();
            self.open = Some(data);
        }
    }

    #[cfg(test)]
    pub(super) fn is_packed(&self) -> bool {
        self.open.is_none()
    }
}
