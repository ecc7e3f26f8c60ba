//! The status of an attempt as an agent stores it: a line of JSON, and the bytes of its status file.
//!
//! Input: a header and the bytes of a status file. Output: the value of a key in the bucket of statuses, and back.
//!
//! Invariants: a value is bounded; its key, its header and the agent agree; the bytes are what a scanner wrote, so the
//! reader checks them like a status file on its own disk.

use super::{
    PROTOCOL, WireError,
    names::{AgentName, RepositoryKey},
};
use crate::model::attempt::MOST_ATTEMPTS;
use serde::{Deserialize, Serialize};

/// The maximum size of the bytes of a status in a value: NATS accepts messages of 1 MiB by default. A larger final
/// status is an object.
pub const MAX_STATUS_BYTES: usize = 960 << 10;

/// The maximum size of a status that is an object: the limit of status files.
pub const MAX_STATUS_OBJECT_BYTES: u64 = 1 << 20;

/// The maximum size of the header.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The agent has taken the attempt: older attempts no longer count.
    Began,
    /// The status file has changed.
    Running,
    /// The shim has exited, and no process of the attempt is left.
    Final,
}

/// An object in the agent's bucket, with what it must contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    pub name: String,
    pub size: u64,
    /// In hexadecimal digits.
    pub sha256: String,
}

/// What is known about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusHeader {
    pub schema: u32,
    pub protocol: u32,
    pub agent: AgentName,
    pub attempt: u64,
    /// The delivery of the message that began the attempt, from 1.
    pub delivery: u64,
    /// Grows with each status of the attempt.
    pub sequence: u64,
    pub kind: Kind,
    /// Of a final state: the exit code of the shim; absent if it was killed or is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Of a final state: the order that the shim was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<super::order::Reason>,
    /// Of a final state: the agent killed a shim that did not react, after its deadline of this many seconds or after
    /// the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<Killed>,
    /// The result file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ObjectRef>,
    /// The log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<ObjectRef>,
    /// The status, if it is too large for this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ObjectRef>,
}

/// Why an agent killed a shim that did not react.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Killed {
    /// It exceeded its deadline of this many seconds.
    Timeout(u64),
    /// It did not obey its order (`ordered`).
    Order,
}

impl StatusHeader {
    /// The header of an attempt that has just begun.
    pub fn began(agent: AgentName, attempt: u64, delivery: u64) -> Self {
        Self {
            schema: 1,
            protocol: PROTOCOL,
            agent,
            attempt,
            delivery,
            sequence: 0,
            kind: Kind::Began,
            exit_code: None,
            ordered: None,
            killed: None,
            result: None,
            log: None,
            status: None,
        }
    }

    /// The objects that belong to the state.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.result.iter().chain(&self.log).chain(&self.status)
    }
}

/// A status that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    pub key: RepositoryKey,
    pub header: StatusHeader,
    /// The bytes of the status file; empty if there is none yet, or if it is an object.
    pub bytes: &'a [u8],
}

/// The value of a status.
///
/// # Errors
/// If the bytes are too many.
pub fn encode(header: &StatusHeader, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    if bytes.len() > MAX_STATUS_BYTES {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MAX_STATUS_BYTES });
    }
    let mut value = serde_json::to_vec(header)?;
    if value.len() > MAX_HEADER_BYTES {
        return Err(WireError::TooLarge { size: value.len(), limit: MAX_HEADER_BYTES });
    }
    value.push(b'\n');
    value.extend_from_slice(bytes);
    Ok(value)
}

/// Reads the value of a key in the bucket of statuses.
///
/// # Errors
/// If key and value do not fit together, or one of them is not what an agent writes.
pub fn decode<'a>(key: &str, value: &'a [u8]) -> Result<Status<'a>, WireError> {
    let invalid = |what: &str| WireError::Invalid(format!("{what} (key `{}`)", key.escape_debug()));
    let (agent, repository) = RepositoryKey::of_status_key(key)
        .ok_or_else(|| invalid("the key is not one of a status"))?;
    let limit = MAX_HEADER_BYTES + 1 + MAX_STATUS_BYTES;
    if value.len() > limit {
        return Err(WireError::TooLarge { size: value.len(), limit });
    }
    let end = value.iter().take(MAX_HEADER_BYTES + 1).position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| invalid("the header has no end"))?;
    let header: StatusHeader = serde_json::from_slice(&value[..end])?;
    if !super::reads_protocol(header.protocol) {
        return Err(WireError::Protocol(header.protocol));
    }
    if header.agent != agent {
        return Err(invalid("the header names another agent than the key"));
    }
    if !(1..MOST_ATTEMPTS).contains(&header.attempt) || header.delivery == 0 {
        return Err(invalid("`attempt` or `delivery` is out of range"));
    }
    let bytes = &value[end + 1..];
    if bytes.len() > MAX_STATUS_BYTES {
        return Err(WireError::TooLarge { size: bytes.len(), limit: MAX_STATUS_BYTES });
    }
    let own = [
        (&header.result, repository.result_object(header.attempt)),
        (&header.log, repository.log_object(header.attempt)),
        (&header.status, repository.status_object(header.attempt)),
    ];
    if own.iter().any(|(object, name)| object.as_ref().is_some_and(|object| object.name != *name)) {
        return Err(invalid("an object belongs to another attempt"));
    }
    Ok(Status { key: repository, header, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a1.job.3";

    fn header() -> StatusHeader {
        StatusHeader::began("a1".parse().unwrap(), 2, 1)
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let value = encode(&header(), b"{\"status\":\n1}").unwrap();
        let status = decode(KEY, &value).unwrap();
        assert_eq!(status.header, header());
        assert_eq!(status.bytes, b"{\"status\":\n1}");
        assert_eq!(status.key.index, 3);
        assert!(decode(KEY, &encode(&header(), b"").unwrap()).unwrap().bytes.is_empty());
    }

    #[test]
    fn what_no_agent_writes_is_refused() {
        let good = encode(&header(), b"{}").unwrap();
        for key in ["a2.job.3", "a1.job", "a1.job.x", "", "a1..3"] {
            assert!(decode(key, &good).is_err(), "{key}");
        }
        let change = |change: &dyn Fn(&mut StatusHeader)| {
            let mut header = header();
            change(&mut header);
            decode(KEY, &encode(&header, b"{}").unwrap()).map(|_| ())
        };
        assert!(change(&|_| {}).is_ok());
        assert!(change(&|header| header.attempt = 0).is_err());
        assert!(change(&|header| header.attempt = MOST_ATTEMPTS).is_err());
        assert!(change(&|header| header.delivery = 0).is_err());
        assert!(matches!(change(&|header| header.protocol = 9), Err(WireError::Protocol(9))));
        let object =
            |name: &str| Some(ObjectRef { name: name.to_owned(), size: 1, sha256: String::new() });
        assert!(change(&|header| header.result = object("job.3.2.result")).is_ok());
        assert!(change(&|header| header.result = object("job.3.1.result")).is_err());
        assert!(change(&|header| header.log = object("job.4.2.log")).is_err());
        for value in [&b""[..], b"{}\n", b"x\n{}", b"\n"] {
            assert!(decode(KEY, value).is_err());
        }
        let endless = vec![b' '; MAX_HEADER_BYTES * 2];
        assert!(decode(KEY, &endless).is_err());
        assert!(encode(&header(), &vec![b' '; MAX_STATUS_BYTES + 1]).is_err());
        let mut large = encode(&header(), b"").unwrap();
        large.resize(large.len() + MAX_STATUS_BYTES + 1, b' ');
        assert!(matches!(decode(KEY, &large), Err(WireError::TooLarge { .. })));
    }
}
