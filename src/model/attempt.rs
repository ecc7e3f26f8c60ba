//! What lies beside a repository's lock: which attempt was the last to begin, and the order
//! that a shim is given before it is signalled.

use super::time::{self, Timestamp};
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
}
