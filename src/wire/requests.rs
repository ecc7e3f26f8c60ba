//! Requests between agents and the server: credentials of a repository, and pieces of logs.
//!
//! Input: requests and answers as values. Output: bytes, and back. Invariants: credentials are sealed; a piece of a log
//! is bounded.

use super::{WireError, names::RepositoryKey, seal::Sealed};
use crate::model::credentials::Credentials;
use serde::{Deserialize, Serialize};

/// The maximum size of a piece of a log.
pub const MAX_PIECE_BYTES: u64 = 512 << 10;

/// The maximum size of the header of a piece.
const MAX_PIECE_HEADER_BYTES: usize = 1024;

/// An agent requests the credentials of the repository of an attempt that it has taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsRequest {
    pub schema: u32,
    #[serde(flatten)]
    pub key: RepositoryKey,
    pub attempt: u64,
}

/// What is sealed: the credentials, and what they are for, so that an answer cannot serve another request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCredentials {
    #[serde(flatten)]
    pub key: RepositoryKey,
    pub attempt: u64,
    /// `None` if the server no longer has credentials for the host.
    pub credentials: Option<Credentials>,
}

/// The server's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsAnswer {
    Sealed(Sealed),
    Refused {
        reason: Refusal,
        /// For the agent's log.
        message: String,
    },
}

/// Why an agent gets no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The agent is not enrolled, or with another key.
    NotEnrolled,
    /// The attempt no longer counts.
    Outdated,
    /// The server cannot answer now.
    NotNow,
}

/// The server requests a piece of the log of a running attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    pub schema: u32,
    #[serde(flatten)]
    pub key: RepositoryKey,
    pub attempt: u64,
    pub offset: u64,
    /// At most this many bytes; an agent sends at most [`MAX_PIECE_BYTES`].
    pub limit: u64,
}

/// What precedes the bytes of a piece of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPiece {
    pub schema: u32,
    /// Whether the agent has this attempt.
    pub found: bool,
    /// The size of the log so far.
    pub size: u64,
    /// Where the piece begins.
    pub offset: u64,
}

impl LogPiece {
    /// The answer: a line of JSON, and the bytes.
    ///
    /// # Errors
    /// If the bytes are too many.
    pub fn encode(&self, bytes: &[u8]) -> Result<Vec<u8>, WireError> {
        let limit = usize::try_from(MAX_PIECE_BYTES).unwrap_or(usize::MAX);
        if bytes.len() > limit {
            return Err(WireError::TooLarge { size: bytes.len(), limit });
        }
        let mut answer = serde_json::to_vec(self)?;
        answer.push(b'\n');
        answer.extend_from_slice(bytes);
        Ok(answer)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(answer: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let end = answer.iter().take(MAX_PIECE_HEADER_BYTES).position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| WireError::Invalid("the header has no end".to_owned()))?;
        let limit = usize::try_from(MAX_PIECE_BYTES).unwrap_or(usize::MAX);
        let bytes = &answer[end + 1..];
        if bytes.len() > limit {
            return Err(WireError::TooLarge { size: bytes.len(), limit });
        }
        Ok((serde_json::from_slice(&answer[..end])?, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_log_is_read_as_it_was_written() {
        let piece = LogPiece { schema: 1, found: true, size: 9, offset: 2 };
        let answer = piece.encode(b"a\nb").unwrap();
        assert_eq!(LogPiece::decode(&answer).unwrap(), (piece.clone(), &b"a\nb"[..]));
        assert!(LogPiece::decode(b"{}").is_err());
        assert!(LogPiece::decode(b"{}\n").is_err());
        let large = vec![0; usize::try_from(MAX_PIECE_BYTES).unwrap() + 1];
        assert!(piece.encode(&large).is_err());
        let mut answer = answer;
        answer.extend_from_slice(&large);
        assert!(LogPiece::decode(&answer).is_err());
    }

    #[test]
    fn an_answer_with_credentials_shows_none_of_them() {
        let key = crate::wire::seal::AgentKey::generate();
        let plain = SealedCredentials {
            key: RepositoryKey { job: "j".parse().unwrap(), index: 0 },
            attempt: 1,
            credentials: Some(Credentials {
                username: "canary-user".to_owned(),
                password: "canary-password".to_owned(),
                on_request: false,
            }),
        };
        let answer = CredentialsAnswer::Sealed(key.public().seal(&plain).unwrap());
        let bytes = crate::wire::write(&answer).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
        let CredentialsAnswer::Sealed(sealed) = crate::wire::read(&bytes).unwrap() else {
            panic!()
        };
        assert_eq!(key.open::<SealedCredentials>(&sealed).unwrap(), plain);
    }
}
