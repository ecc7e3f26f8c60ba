//! The data of one job, open or packed.
//!
//! Input: whoever asks or changes something, and time. Output: the data.
//! Invariants: who asks finds open data, and never less than was packed; what nobody has asked for
//! or changed between two looks (see [`Slot::look_at_use`]) is packed, or, where it is too large to
//! be packed in one go, keeps what its files say and nothing that can be made of that.

use super::{board::Card, state::Data, versions::Versions};
use tokio::sync::watch;

/// A job of more repositories is not packed: it is locked meanwhile, and so it is when it is opened
/// again (about a microsecond for each).
const MOST_PACKED: usize = 1_000;

#[derive(Debug)]
pub(super) struct Slot {
    open: Option<Box<Data>>,
    /// Where it is not open.
    packed: Box<[u8]>,
    used: Used,
    pub(super) removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Used {
    SinceTheLastLook,
    Before,
    /// It has been packed, or is too large for that.
    NotSinceItRests,
}

impl Slot {
    pub(super) fn new(data: Data) -> Self {
        Self {
            open: Some(Box::new(data)),
            packed: Box::default(),
            used: Used::SinceTheLastLook,
            removed: false,
        }
    }

    /// The data, to be asked or changed.
    pub(super) fn open(&mut self, card: &Card, versions: &Versions) -> &mut Data {
        self.used = Used::SinceTheLastLook;
        let packed = &mut self.packed;
        self.open.get_or_insert_with(|| {
            let packed = std::mem::take(packed);
            Box::new(Data::unpack(&packed, card.look(Clone::clone), versions.clone()))
        })
    }

    /// Whether the data may rest: nobody waits for it, and nobody has used it since the last time
    /// that this was asked.
    pub(super) fn look_at_use(&mut self) -> bool {
        match self.used {
            Used::SinceTheLastLook => {
                self.used = Used::Before;
                false
            }
            Used::Before => !self.is_followed(),
            Used::NotSinceItRests => false,
        }
    }

    /// Whether somebody waits for changes.
    pub(super) fn is_followed(&self) -> bool {
        self.changes().is_some_and(|it| it.receiver_count() > 0)
    }

    /// The channel of those who wait for changes, if there ever were any.
    pub(super) fn changes(&self) -> Option<&watch::Sender<u64>> {
        self.open.as_ref()?.changes.as_ref()
    }

    /// Packs the data, if it is not too large.
    pub(super) fn rest(&mut self) {
        let Some(mut data) = self.open.take() else { return };
        self.used = Used::NotSinceItRests;
        if data.repositories.len() <= MOST_PACKED {
            self.packed = data.pack();
        } else {
            data.release();
            self.open = Some(data);
        }
    }

    #[cfg(test)]
    pub(super) fn is_packed(&self) -> bool {
        self.open.is_none()
    }
}
