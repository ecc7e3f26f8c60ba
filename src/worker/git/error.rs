//! The errors of git: one variant for each remedy.
//!
//! Input: what a call did. Output: a message with what to do, a failure kind, and whether a retry
//! may help.

use crate::{
    model::{FailureKind, git_url::Refusal},
    worker::tree::TreeError,
};
use std::{io, net::IpAddr, time::Duration};

/// Why a repository could not be fetched or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("{refusal}: {}", refusal.hint())]
    Refused { refusal: Refusal },
    #[error(
        "{host} cannot be reached: the name could not be resolved ({reason}); check the name, and the DNS of \
         the machine that scans"
    )]
    Unresolvable { host: String, reason: String },
    #[error("Private network access not allowed: {host} has the address {address}")]
    Address { host: String, address: IpAddr },
    #[error(
        "Private network access not allowed: {host} has the address {address}, which is this \
         machine's own; to fetch repositories from it, add it to [network] allow_nets \
         in the server's settings"
    )]
    OwnAddress { host: String, address: IpAddr },
    #[error("`{shown}` is not a valid branch, tag or commit: {reason}")]
    Reference { shown: String, reason: &'static str },

    #[error("git is not installed, or not in the scanner's PATH")]
    Missing,
    #[error("git did not start")]
    Spawn { source: io::Error },

    #[error(
        "{host} requires credentials, and none are configured: set a token under [[forges]] \
         (token_file or token_env) in the server's settings (for `scan` also GITHUB_TOKEN, GITLAB_TOKEN or \
         git's credential helper), or check that the repository exists ({said})"
    )]
    CredentialsNeeded { host: String, said: String },
    #[error(
        "{host} rejected the credentials: check the token and the username under \
         [[forges]] in the server's settings (of `scan` also GITHUB_TOKEN, GITLAB_TOKEN or git's credential \
         helper) ({said})"
    )]
    CredentialsRefused { host: String, said: String },
    #[error(
        "{host} denied access: check the permissions of the token under [[forges]], or set a token ({said})"
    )]
    Forbidden { host: String, said: String },
    #[error("repository not found: it does not exist, or is not visible without a token ({said})")]
    RepositoryNotFound { said: String },
    #[error(
        "`{reference}` not found: the repository has no such branch or tag, and a commit needs its \
         full id ({said})"
    )]
    ReferenceNotFound { reference: String, said: String },
    #[error("the repository's default branch does not exist: name a branch as `ref`")]
    NoDefaultBranch,
    #[error("{host} redirects to another URL, which is not followed: submit the new URL ({said})")]
    Redirected { host: String, said: String },
    #[error("cannot establish a trusted TLS connection to {host} ({said})")]
    Tls { host: String, said: String },
    #[error(
        "the proxy {proxy} does not lead to {host}: check [network] proxy, proxy_password_file and no_proxy in \
         the settings (for `scan` also HTTPS_PROXY and NO_PROXY), and whether the proxy allows this host ({said})"
    )]
    Proxy { proxy: String, host: String, said: String },
    #[error("{host} cannot be reached ({said})")]
    Unreachable { host: String, said: String },
    #[error("no answer from {host} within {seconds} seconds")]
    Silent { host: String, seconds: u64 },
    #[error("the transfer from {host} stalled or broke off ({said})")]
    Stalled { host: String, said: String },
    #[error("{host} does not speak git's smart HTTP protocol ({said})")]
    NotSmart { host: String, said: String },
    #[error("{host} returned a server error ({said})")]
    Server { host: String, said: String },
    #[error(
        "{host} refuses requests because of its rate limit{}; fewer scans contact it at once from now on ({said})",
        requested(*.pause)
    )]
    Throttled { host: String, said: String, pause: Option<Duration> },
    /// The server omitted blobs and does not serve them afterwards; handled by a second fetch.
    #[error("the server does not serve single files ({said})")]
    Withheld { said: String },
    /// The repository is too large to be fetched in one request; handled by a second fetch.
    #[error("the repository is too large for a single request")]
    NotFew,
    #[error("git {step} failed ({said})")]
    Failed { step: &'static str, said: String },
    /// The repository uses SHA-256 object names; handled by a second fetch.
    #[error("the repository uses SHA-256 object names ({said})")]
    ObjectFormat { said: String },

    #[error(
        "git ran out of memory: {said}; raise [limits] max_memory_bytes and max_data_bytes, or run fewer \
         scans at once"
    )]
    OutOfMemory { said: String },
    #[error(
        "the repository is too large: its fetch exceeds {most} bytes ([limits] max_fetch_bytes)"
    )]
    TooLarge { most: u64 },
    #[error(
        "the repository is compressed too strongly: git did not resolve the deltas of {bytes} fetched \
         bytes within {seconds} seconds"
    )]
    TooTight { bytes: u64, seconds: u64 },
    #[error("git exceeded its limit of processor time ([limits] max_cpu_secs)")]
    TooMuchWork,
    #[error("git {step} did not finish within {seconds} seconds")]
    TooSlow { step: &'static str, seconds: u64 },
    #[error("unexpected output of git {step}: {said}")]
    Answer { step: &'static str, said: String },
    #[error("git {step} ended unexpectedly")]
    Pipe { step: &'static str, source: io::Error },
    #[error("cannot create the folder for git's files")]
    Folder { source: io::Error },
    #[error("stopped by signal {0}")]
    Stopped(i32),
}

/// The pause that a host requests, for its message.
fn requested(pause: Option<Duration>) -> String {
    pause.map(|pause| format!(" and requests a pause of {} s", pause.as_secs())).unwrap_or_default()
}

impl From<GitError> for TreeError<GitError> {
    fn from(error: GitError) -> Self {
        Self::Source(error)
    }
}

impl GitError {
    /// Whether this error may be the result of a killed git.
    pub(crate) fn may_be_a_death(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Answer { .. }
                | Self::Pipe { .. }
                | Self::Stalled { .. }
                | Self::NotSmart { .. }
        )
    }

    /// The failure kind.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. }
            | Self::Address { .. }
            | Self::OwnAddress { .. }
            | Self::Reference { .. } => FailureKind::Refused,
            Self::Missing | Self::Spawn { .. } => FailureKind::Spawn,
            Self::TooLarge { .. } | Self::TooTight { .. } | Self::TooMuchWork => FailureKind::Limit,
            Self::OutOfMemory { .. } => FailureKind::OutOfMemory,
            Self::Stopped(_) => FailureKind::Cancelled,
            Self::CredentialsNeeded { .. }
            | Self::CredentialsRefused { .. }
            | Self::Forbidden { .. }
            | Self::RepositoryNotFound { .. }
            | Self::ReferenceNotFound { .. }
            | Self::NoDefaultBranch
            | Self::Redirected { .. }
            | Self::Tls { .. }
            // A name that does not resolve is the network's failure: policy has refused nothing.
            | Self::Unresolvable { .. }
            | Self::Proxy { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::NotSmart { .. }
            | Self::Server { .. }
            | Self::Throttled { .. }
            | Self::Withheld { .. }
            | Self::NotFew
            | Self::Failed { .. }
            | Self::ObjectFormat { .. }
            | Self::TooSlow { .. }
            | Self::Answer { .. }
            | Self::Pipe { .. }
            | Self::Folder { .. } => FailureKind::Clone,
        }
    }

    /// Whether another attempt would fail in the same way until somebody changes something.
    /// Failures of networks, servers and disks may be transient; those of permissions, names and
    /// protocols are not.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::CredentialsNeeded { .. }
            | Self::CredentialsRefused { .. }
            | Self::Forbidden { .. }
            | Self::RepositoryNotFound { .. }
            | Self::ReferenceNotFound { .. }
            | Self::NoDefaultBranch
            | Self::Redirected { .. }
            | Self::NotSmart { .. } => true,
            Self::Refused { .. }
            | Self::Unresolvable { .. }
            | Self::Address { .. }
            | Self::OwnAddress { .. }
            | Self::Reference { .. }
            | Self::Missing
            | Self::Spawn { .. }
            | Self::Tls { .. }
            | Self::Proxy { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::Server { .. }
            | Self::Throttled { .. }
            | Self::Withheld { .. }
            | Self::NotFew
            | Self::Failed { .. }
            | Self::ObjectFormat { .. }
            | Self::OutOfMemory { .. }
            | Self::TooLarge { .. }
            | Self::TooTight { .. }
            | Self::TooMuchWork
            | Self::TooSlow { .. }
            | Self::Answer { .. }
            | Self::Pipe { .. }
            | Self::Folder { .. }
            | Self::Stopped(_) => false,
        }
    }
    /// The pause that the host requests; the outer value is `None` unless the host reported a rate
    /// limit.
    #[expect(clippy::option_option, reason = "a host may report a limit without a pause")]
    pub(crate) fn rate_limit(&self) -> Option<Option<Duration>> {
        match self {
            Self::Throttled { pause, .. } => Some(*pause),
            _ => None,
        }
    }
}
