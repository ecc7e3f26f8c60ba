//! The files beside a repository's lock: the record of the last attempt, and the order to its shim.
//!
//! Input: records and orders as JSON. Output: the same as values, and the record that counts.

use super::{
    FailureKind,
    element::{self, ElementName},
    time::{self, Timestamp},
};
use serde::{Deserialize, Serialize};

/// How many shims of a repository may die without reporting a cause before the repository fails.
pub const MAX_INTERRUPTIONS: u64 = 3;

/// The claim of an attempt; its shim writes it as soon as it holds the lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptRecord {
    pub schema: u32,
    /// From 1.
    pub attempt: u64,
    /// How many shims of this repository have died without reporting a cause.
    pub interruptions: u64,
    /// The number of this attempt among the requested retries; 0 for the first try.
    #[serde(default)]
    pub retries: u64,
    /// Nothing else is scanned during this attempt, because the one before ran out of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    #[serde(with = "time")]
    #[schemars(with = "Timestamp")]
    pub started_at: Timestamp,
    /// Where the attempt runs, if on another machine: no process of this machine holds the lock then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteAttempt>,
}

/// An attempt that another machine runs, or will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemoteAttempt {
    /// `nats` or `slurm`.
    pub engine: String,
    /// The agent or the node of the cluster that has begun it; absent until one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Which delivery of its message has begun, from 1; 0 until one has.
    #[serde(default)]
    pub delivery: u64,
    /// The element of a Slurm array that it was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub element: Option<ElementName>,
}

impl RemoteAttempt {
    /// An attempt that was given to an element of a Slurm array, and perhaps begun on a node.
    pub fn of_element(element: ElementName, node: Option<String>) -> Self {
        let delivery = u64::from(node.is_some());
        Self { engine: element::ENGINE.to_owned(), agent: node, delivery, element: Some(element) }
    }
}

/// Numbers from here on in a record are implausible: a sum must not overflow.
pub const MOST_ATTEMPTS: u64 = 1 << 32;

impl AttemptRecord {
    /// The element of a Slurm array that the attempt was given to.
    pub fn element(&self) -> Option<&ElementName> {
        self.remote.as_ref()?.element.as_ref()
    }

    /// The record that counts, given the one beside the lock, which a scanner may have written, and
    /// the one in `.attempts`, which a sandboxed scanner cannot write.
    pub fn agreed(beside: Option<Self>, kept: Option<Self>) -> Option<Self> {
        match (beside, kept) {
            // An older version of scanwatch, which writes no second record, may have continued the
            // job.
            (Some(beside), Some(kept)) if beside.attempt > kept.attempt => Some(Self {
                interruptions: beside.interruptions.max(kept.interruptions),
                retries: beside.retries.max(kept.retries),
                alone: false,
                // The server records a remote attempt in both places.
                remote: None,
                ..beside
            }),
            (beside, kept) => kept.or(beside),
        }
    }
}

/// Why a shim gets SIGTERM. Without an order SIGTERM means cancel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Order {
    /// The attempt that the order is for; later attempts ignore it.
    pub attempt: u64,
    pub reason: OrderReason,
}

/// The reason of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderReason {
    /// The job was cancelled.
    Cancel,
    /// The server stops; the next server scans the repository again.
    Stop,
    /// Another job needs the slot; the repository is queued and scanned again.
    Yield,
}

/// The first exit code of a shim that could not write the final state because the disk refused it.
const FIRST_UNWRITTEN: u8 = 100;

/// How an attempt ended if its shim could not write the final state; encoded in the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwrittenEnd {
    Completed,
    Failed(FailureKind),
}

impl UnwrittenEnd {
    /// The exit code of the shim.
    pub fn code(self) -> u8 {
        let index = match self {
            Self::Completed => FailureKind::ALL.len(),
            Self::Failed(kind) => {
                FailureKind::ALL.iter().position(|known| *known == kind).unwrap_or(0)
            }
        };
        FIRST_UNWRITTEN + u8::try_from(index).unwrap_or(0)
    }

    /// Decodes an exit code, if it is one of these.
    pub fn of_code(code: i32) -> Option<Self> {
        let index = usize::try_from(code - i32::from(FIRST_UNWRITTEN)).ok()?;
        if index == FailureKind::ALL.len() {
            return Some(Self::Completed);
        }
        FailureKind::ALL.get(index).copied().map(Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a sandboxed scanner that overwrites its record gets attempts, interruptions or
    /// retries back.
    #[test]
    fn the_second_record_cannot_be_reverted() {
        let of = |[attempt, interruptions, retries]: [u64; 3]| AttemptRecord {
            schema: 1,
            attempt,
            interruptions,
            retries,
            alone: false,
            started_at: Timestamp::default(),
            remote: None,
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
    fn an_unwritten_end_is_encoded_as_exit_code() {
        let kinds = FailureKind::ALL.into_iter().map(UnwrittenEnd::Failed);
        let all: Vec<_> = kinds.chain([UnwrittenEnd::Completed]).collect();
        let mut codes: Vec<u8> = all.iter().map(|end| end.code()).collect();
        for end in all {
            assert_eq!(UnwrittenEnd::of_code(i32::from(end.code())), Some(end));
        }
        codes.dedup();
        assert_eq!((codes.len(), codes[0]), (13, 100));
        for code in [0, 74, 75, 76, 77, 78, 99, 113, 128, 255, -1] {
            assert_eq!(UnwrittenEnd::of_code(code), None, "{code}");
        }
    }
}
