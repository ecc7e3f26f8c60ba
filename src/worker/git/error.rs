//! What can go wrong with git: one variant per thing that an operator would do about it.

use crate::model::{FailureKind, git_url::Refusal};
use std::{io, net::IpAddr};

/// Why a repository could not be fetched or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("{refusal}: {}", refusal.way_out())]
    Refused { refusal: Refusal },
    #[error("the name {host} could not be resolved, so its addresses cannot be judged: {reason}")]
    Unresolvable { host: String, reason: String },
    #[error("Private network access not allowed: {host} has the address {address}")]
    Address { host: String, address: IpAddr },
    #[error(
        "Private network access not allowed: {host} has the address {address}, which is this \
         machine's own; if repositories are to be fetched from it, open it by [network] allow_nets \
         in the server's settings"
    )]
    OwnAddress { host: String, address: IpAddr },
    #[error("`{shown}` is no name of a branch or tag and no commit id: {reason}")]
    Reference { shown: String, reason: &'static str },

    #[error("git is not installed, or not on the PATH of the scanner")]
    Missing,
    #[error("git did not start")]
    Spawn { source: io::Error },

    #[error(
        "{host} asks for credentials, and there are none for it: give a token under [[forges]] \
         (token_file or token_env) in the server's settings, or check that the repository exists \
         ({said})"
    )]
    CredentialsNeeded { host: String, said: String },
    #[error(
        "{host} does not accept the credentials: check the token and the username under \
         [[forges]] in the server's settings ({said})"
    )]
    CredentialsRefused { host: String, said: String },
    #[error(
        "{host} forbids access: check what the token under [[forges]] may read, or give one ({said})"
    )]
    Forbidden { host: String, said: String },
    #[error("repository not found: it does not exist, or may not be seen without a token ({said})")]
    RepositoryNotFound { said: String },
    #[error(
        "`{reference}` not found: the repository has no such branch or tag, and a commit needs its \
         full id ({said})"
    )]
    ReferenceNotFound { reference: String, said: String },
    #[error("the repository's default branch does not exist: name a branch as `ref`")]
    NoDefaultBranch,
    #[error(
        "{host} redirects to another place, which is not followed: submit the new URL ({said})"
    )]
    Redirected { host: String, said: String },
    #[error("no trusted connection to {host} ({said})")]
    Tls { host: String, said: String },
    #[error("{host} cannot be reached ({said})")]
    Unreachable { host: String, said: String },
    #[error("no answer from {host} within {seconds} seconds")]
    Silent { host: String, seconds: u64 },
    #[error("the transfer from {host} stalled or broke off ({said})")]
    Stalled { host: String, said: String },
    #[error("{host} does not speak git's smart HTTP protocol ({said})")]
    NotSmart { host: String, said: String },
    #[error("{host} answers with an error of its own ({said})")]
    Server { host: String, said: String },
    /// The server left blobs out and does not hand them out afterwards; handled by a second try.
    #[error("the server does not hand out single files ({said})")]
    Withheld { said: String },
    /// The repository is not as small as it has to be to come in one go; handled by a second try.
    #[error("the repository does not come in one go")]
    NotFew,
    #[error("git {step} failed ({said})")]
    Failed { step: &'static str, said: String },
    /// The repository names its objects by SHA-256; handled by a second try.
    #[error("the repository names its objects by SHA-256 ({said})")]
    ObjectFormat { said: String },

    #[error(
        "git ran out of memory: {said}; [limits] max_memory_bytes and max_data_bytes are what it may \
         have, fewer scans at once leave more"
    )]
    OutOfMemory { said: String },
    #[error("the repository is too large: its fetch exceeds {most} bytes")]
    TooLarge { most: u64 },
    #[error(
        "the repository is packed too tightly: within {seconds} seconds git did not put together \
         what it fetched in {bytes} bytes"
    )]
    TooTight { bytes: u64, seconds: u64 },
    #[error("git used more processor time than it may have ([limits] max_cpu_secs)")]
    TooMuchWork,
    #[error("git {step} did not end within {seconds} seconds")]
    TooSlow { step: &'static str, seconds: u64 },
    #[error("git {step} said something that is not understood: {said}")]
    Answer { step: &'static str, said: String },
    #[error("git {step} broke off")]
    Pipe { step: &'static str, source: io::Error },
    #[error("the folder for git's files cannot be made")]
    Folder { source: io::Error },
    #[error("told to end by signal {0}")]
    Stopped(i32),
}

impl GitError {
    /// Whether a git that died on the way could show itself like this.
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

    /// Which of the contract's causes this is.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Refused { .. }
            | Self::Unresolvable { .. }
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
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::NotSmart { .. }
            | Self::Server { .. }
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

    /// Whether another attempt would end the same way, as long as nobody does something about it.
    /// Networks, servers and disks have their moments; rights, names and protocols do not.
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
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::Server { .. }
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
}
