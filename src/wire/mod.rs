//! What a server and its agents on other machines exchange through NATS: names, messages and checks.
//!
//! Input: values, and bytes that the other side has stored or sent. Output: the same as bytes, and as checked values;
//! a connection. Invariants: pure data, except for the connection; no message contains a secret that is not sealed to
//! the key of its reader; what is read is bounded in size, and checked before it is used.
//!
//! An attempt is a message of a work-queue stream. Its number is the fencing token: `first_attempt` of the message plus
//! the number of its earlier deliveries, so that each delivery is a later attempt than every one before.

pub mod attempt;
pub mod connection;
pub mod heartbeat;
pub mod names;
pub mod narrow;
pub mod order;
pub mod permissions;
pub mod requests;
pub mod seal;
pub mod status;
pub mod streams;

use serde::{Serialize, de::DeserializeOwned};

/// The version of the messages that this program writes.
pub const PROTOCOL: u32 = 1;

/// The oldest version of the messages that this program reads.
///
/// The rule for operators: a server serves agents of its own protocol version and of the version before, so the server
/// is updated first. An agent serves servers of its own version and older.
pub const OLDEST_PROTOCOL: u32 = 1;

/// The maximum size of a message, other than a status.
pub const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// The oldest version of NATS that works: its streams and consumers have all that is used here.
pub const OLDEST_NATS: (u64, u64) = (2, 10);

/// Whether messages of this protocol version are read.
pub fn reads_protocol(version: u32) -> bool {
    (OLDEST_PROTOCOL..=PROTOCOL).contains(&version)
}

/// A message that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the message has {size} bytes; at most {limit} are read")]
    TooLarge { size: usize, limit: usize },
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(
        "the message has version {0} of the protocol, and this program reads {OLDEST_PROTOCOL} to {PROTOCOL}; \
         update the server first, then its agents"
    )]
    Protocol(u32),
    #[error("the message is not usable: {0}")]
    Invalid(String),
}

/// Reads a message of bounded size.
///
/// # Errors
/// If it is too large, or is not such a message.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MAX_MESSAGE_BYTES });
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes a message.
///
/// # Errors
/// If it is larger than what is read.
pub fn write<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MAX_MESSAGE_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_versions_are_checked() {
        let large = format!("\"{}\"", "x".repeat(MAX_MESSAGE_BYTES));
        assert!(matches!(read::<String>(large.as_bytes()), Err(WireError::TooLarge { .. })));
        assert!(matches!(write(&large), Err(WireError::TooLarge { .. })));
        assert_eq!(read::<String>(&write(&"x").unwrap()).unwrap(), "x");
        assert!(reads_protocol(PROTOCOL) && !reads_protocol(PROTOCOL + 1));
        assert!(!reads_protocol(OLDEST_PROTOCOL - 1));
    }
}
