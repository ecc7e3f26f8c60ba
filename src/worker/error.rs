//! Everything that fails a scan, and the failure kind of each.
//!
//! Input: errors of the worker's parts. Output: a [`Failure`]. Invariants: each error has exactly
//! one kind.

use super::{
    git::GitError,
    limits::LimitError,
    local::{LocalError, WorkTreeError},
    tree::TreeError,
};
use crate::{
    model::{Failure, FailureKind, pattern::PatternError},
    store::{StoreError, chain},
};
use std::io;

/// Why a scan failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Local(#[from] LocalError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the scanning thread did not start")]
    Thread(#[source] io::Error),
    #[error("the scanner itself failed: {0}")]
    Panic(String),
    #[error(
        "cannot enter the sandbox that [scanner] sandbox = \"require\" demands: {0}; use a newer kernel, \
         or sandbox = \"auto\", which uses what the kernel supports"
    )]
    Isolation(String),
    #[error("invalid pattern in exclude_paths: {0}")]
    Pattern(#[from] PatternError),
    #[error("stopped by signal {0}")]
    Stopped(i32),
}

impl<E: Into<ScanError>> From<TreeError<E>> for ScanError {
    fn from(error: TreeError<E>) -> Self {
        match error {
            TreeError::Limit(error) => Self::Limit(error),
            TreeError::Stopped(signal) => Self::Stopped(signal),
            TreeError::Source(error) => error.into(),
        }
    }
}

impl From<WorkTreeError> for ScanError {
    fn from(error: WorkTreeError) -> Self {
        match error {
            WorkTreeError::Git(error) => Self::Git(error),
            WorkTreeError::Local(error) => Self::Local(error),
        }
    }
}

impl ScanError {
    /// The failure for the status file.
    pub(super) fn failure(&self) -> Failure {
        let kind = match self {
            Self::Git(error) => error.kind(),
            Self::Local(_) => FailureKind::Clone,
            Self::Limit(_) => FailureKind::Limit,
            Self::Isolation(_) => FailureKind::Spawn,
            Self::Pattern(_) => FailureKind::Refused,
            Self::Stopped(_) => FailureKind::Cancelled,
            // Not the repository's fault: this process fails and exits with 1.
            Self::Store(_) | Self::Thread(_) | Self::Panic(_) => FailureKind::Exit,
        };
        let rate_limit = match self {
            Self::Git(error) => error.rate_limit(),
            _ => None,
        };
        Failure {
            permanent: self.is_permanent(),
            throttled: rate_limit.is_some(),
            retry_after_secs: rate_limit.flatten().map(|pause| pause.as_secs()),
            ..Failure::new(kind, chain(self))
        }
    }

    /// Whether another attempt would fail in the same way.
    fn is_permanent(&self) -> bool {
        match self {
            Self::Git(error) => error.is_permanent(),
            // A path or a kernel only changes when somebody changes it.
            Self::Local(_) | Self::Isolation(_) | Self::Pattern(_) => true,
            Self::Limit(_)
            | Self::Store(_)
            | Self::Thread(_)
            | Self::Panic(_)
            | Self::Stopped(_) => false,
        }
    }

    /// The name of the error's type, for `errors[].exception`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Git(_) => "GitError",
            Self::Local(_) => "LocalError",
            Self::Limit(_) => "LimitError",
            Self::Isolation(_) => "IsolationError",
            Self::Store(_) => "StoreError",
            Self::Thread(_) => "io::Error",
            Self::Pattern(_) => "PatternError",
            Self::Panic(_) => "panic",
            Self::Stopped(_) => "Stopped",
        }
    }

    /// The signal, if the scan was stopped by one.
    pub(super) fn stopped(&self) -> Option<i32> {
        match self {
            Self::Stopped(signal) | Self::Git(GitError::Stopped(signal)) => Some(*signal),
            _ => None,
        }
    }

    /// Whether this is a fault of the scanner or its machine, for which a backtrace helps; for a
    /// repository that cannot be fetched it does not.
    pub(super) fn is_internal(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Thread(_))
    }
}
