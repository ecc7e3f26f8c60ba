//! Why a repository's scan failed: a closed list of causes, so that an operator never reads just
//! "failed".
//!
//! Input: what the scanner, its shim or the server found. Output: a cause in status files and
//! events.

/// The cause of a repository's failure, as in status files and events.
#[derive(
    Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Failure {
    pub kind: FailureKind,
    /// One sentence for people: what happened and, if possible, what to do.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether another attempt would fail in the same way; then there is no automatic retry.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
    /// Whether a host refused the scan because of its rate limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub throttled: bool,
    /// How many seconds the host requested to wait, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The causes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The scanner could not be started.
    Spawn,
    /// The scanner exited with a code other than 0.
    Exit,
    /// The scanner was killed by a signal that scanwatch did not send.
    Signal,
    /// The kernel killed the scanner because memory ran out.
    OutOfMemory,
    /// The scanner exceeded its deadline.
    Timeout,
    /// The scanner was alive but sent no heartbeat for too long.
    Stalled,
    /// The scan was cancelled.
    Cancelled,
    /// The repository could not be fetched or read.
    Clone,
    /// Policy forbids contact with this address.
    Refused,
    /// The repository is larger than a limit allows.
    Limit,
    /// The scanner broke the scanner protocol.
    Protocol,
    /// The processes around the scanner died or were stopped.
    Interrupted,
}

impl FailureKind {
    /// All kinds. Their order is part of the exit codes between shim and server.
    pub const ALL: [Self; 12] = [
        Self::Spawn,
        Self::Exit,
        Self::Signal,
        Self::OutOfMemory,
        Self::Timeout,
        Self::Stalled,
        Self::Cancelled,
        Self::Clone,
        Self::Refused,
        Self::Limit,
        Self::Protocol,
        Self::Interrupted,
    ];

    /// The name in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Exit => "exit",
            Self::Signal => "signal",
            Self::OutOfMemory => "out_of_memory",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Cancelled => "cancelled",
            Self::Clone => "clone",
            Self::Refused => "refused",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Interrupted => "interrupted",
        }
    }
}

impl FailureKind {
    /// What a person can do about it; empty if there is nothing to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Spawn => "Check [scanner] command, the disk, and the limit of processes.",
            Self::Exit => "Read the log.",
            Self::Signal => "Find who sent the signal: an operator, or the kernel.",
            Self::OutOfMemory => {
                "Run fewer scanners at once, add memory, or raise [limits] max_data_bytes."
            }
            Self::Timeout => {
                "Raise [scanner] subprocess_timeout_secs, or see what the scan was doing."
            }
            Self::Stalled => "See what the scan was doing: stage, current file, log.",
            Self::Cancelled => "",
            Self::Clone => "The detail has the cause: network, credentials, or the address.",
            Self::Refused => {
                "The policy forbids this address: [network] allow_hosts, allow_nets, or [[forges]]."
            }
            Self::Limit => "The repository exceeds a limit: [limits].",
            Self::Protocol => "The scanner violated the protocol: read the log.",
            Self::Interrupted => "Find out what kills the processes of the scan.",
        }
    }
}

impl Failure {
    /// A transient failure without exit code and signal.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            exit_code: None,
            signal: None,
            permanent: false,
            throttled: false,
            retry_after_secs: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FailureKind;

    /// Breaks if the page gives other advice than the terminal.
    #[test]
    fn the_page_has_the_same_remedies() {
        let page = include_str!("../api/resources/dashboard/format.js");
        for kind in FailureKind::ALL {
            let line = format!("  {}: \"{}\",\n", kind.as_str(), kind.remedy());
            assert!(page.contains(&line), "{line}");
        }
    }
}
