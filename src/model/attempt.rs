//! What lies beside a repository's lock: which attempt was the last to begin, and the order
//! that a shim is given before it is signalled.

use super::{
    FailureKind,
    time::{self, Timestamp},
};
use serde::{Deserialize, Serialize};

/// How often a repository's shim may die without a word before the repository counts as failed.
pub const MAX_INTERRUPTIONS: u64 = 3;

/// Written by a shim as soon as it holds the lock: this attempt is taken, whatever happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptRecord {
    pub schema: u32,
    /// From 1.
    pub attempt: u64,
    /// How many shims of this repository died without a word so far.
    pub interruptions: u64,
    /// Which retry of those that were asked for this attempt is; 0 for the first try.
    #[serde(default)]
    pub retries: u64,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub started_at: Timestamp,
}

/// From here on a number in a record is not believed: a sum must not overflow.
pub const MOST_ATTEMPTS: u64 = 1 << 32;

impl AttemptRecord {
    /// The record that holds, of the one beside the lock, which a scanner may have written, and the one
    /// in `.attempts`, where a sandboxed scanner cannot write.
    pub fn agreed(beside: Option<Self>, kept: Option<Self>) -> Option<Self> {
        match (beside, kept) {
            // A version that keeps none may have gone on since.
            (Some(beside), Some(kept)) if beside.attempt > kept.attempt => Some(Self {
                interruptions: beside.interruptions.max(kept.interruptions),
                retries: beside.retries.max(kept.retries),
                ..beside
            }),
            (beside, kept) => kept.or(beside),
        }
    }
}

/// Why a shim gets SIGTERM. Without an order, it is a cancel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Order {
    /// The attempt that is meant; a later one is not bound by it.
    pub attempt: u64,
    pub reason: OrderReason,
}

/// The reasons there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderReason {
    /// Somebody does not want the result.
    Cancel,
    /// The server stops; its next run scans the repository again.
    Stop,
    /// Another job waits without a slot; the repository is queued, and scanned again.
    Yield,
}

/// The first exit code of a shim that could not write the final state: the disk refused it.
const FIRST_UNSETTLED: u8 = 100;

/// How an attempt ended whose final state its shim could not write; the exit code carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    Completed,
    Failed(FailureKind),
}

impl Unsettled {
    /// The exit code of the shim.
    pub fn code(self) -> u8 {
        let place = match self {
            Self::Completed => FailureKind::ALL.len(),
            Self::Failed(kind) => FailureKind::ALL.iter().position(|it| *it == kind).unwrap_or(0),
        };
        FIRST_UNSETTLED + u8::try_from(place).unwrap_or(0)
    }

    /// What an exit code says, if it is one of these.
    pub fn of_code(code: i32) -> Option<Self> {
        let place = usize::try_from(code - i32::from(FIRST_UNSETTLED)).ok()?;
        if place == FailureKind::ALL.len() {
            return Some(Self::Completed);
        }
        FailureKind::ALL.get(place).copied().map(Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if what a sandboxed scanner writes over its record gives it attempts, interruptions or
    /// retries back.
    #[test]
    fn nothing_that_is_kept_is_taken_back() {
        let of = |[attempt, interruptions, retries]: [u64; 3]| AttemptRecord {
            schema: 1,
            attempt,
            interruptions,
            retries,
            started_at: Timestamp::default(),
        };
        for (beside, kept, expected) in [
            (None, None, None),
            (Some([2, 1, 1]), None, Some([2, 1, 1])),
            (None, Some([2, 1, 1]), Some([2, 1, 1])),
            (Some([1, 0, 0]), Some([2, 1, 1]), Some([2, 1, 1])),
            (Some([2, 0, 0]), Some([2, 1, 1]), Some([2, 1, 1])),
            (Some([3, 0, 0]), Some([2, 1, 1]), Some([3, 1, 1])),
        ] {
            let agreed = AttemptRecord::agreed(beside.map(of), kept.map(of));
            assert_eq!(agreed, expected.map(of), "{beside:?} {kept:?}");
        }
    }

    #[test]
    fn what_could_not_be_written_travels_as_an_exit_code() {
        let kinds = FailureKind::ALL.into_iter().map(Unsettled::Failed);
        let all: Vec<_> = kinds.chain([Unsettled::Completed]).collect();
        let mut codes: Vec<u8> = all.iter().map(|it| it.code()).collect();
        for it in all {
            assert_eq!(Unsettled::of_code(i32::from(it.code())), Some(it));
        }
        codes.dedup();
        assert_eq!((codes.len(), codes[0]), (13, 100));
        for code in [0, 74, 75, 76, 77, 78, 99, 113, 128, 255, -1] {
            assert_eq!(Unsettled::of_code(code), None, "{code}");
        }
    }
}
