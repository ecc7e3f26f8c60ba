//! Why an operation on NATS failed.
//!
//! Input: an error of the client, and what failed. Output: a text for the log. Invariants: it contains no secret, because
//! those of the client contain none.

use std::{error::Error, fmt};

/// Why an operation failed, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NatsError {
    action: String,
    cause: String,
    is_permanent: bool,
}

impl NatsError {
    /// Whether a stream or a consumer is missing, so that trying again does not help.
    pub(super) fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    /// The same error, with whether trying again does not help.
    pub(super) fn permanent(self, is_permanent: bool) -> Self {
        Self { is_permanent, ..self }
    }
}

impl fmt::Display for NatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.action, self.cause)
    }
}

impl Error for NatsError {}

/// Adds what failed to an error of the client.
pub(super) fn at<E: Error>(action: impl Into<String>) -> impl FnOnce(E) -> NatsError {
    let action = action.into();
    move |error| NatsError { action, cause: error.to_string(), is_permanent: false }
}
