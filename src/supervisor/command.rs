//! The commands to the loop, and their answers.
//!
//! Input: requests of the rest of the program. Output: one answer to each command that asks for one.
//!
//! Invariant: every change of a job is a command.

use super::{
    job::{NewJob, Planned, RecoveredJob},
    limits::ScanLimits,
};
use crate::{
    model::{FailureKind, JobId},
    store::{StoreError, archive::ArchiveHeader, space::Obstacle},
};
use std::time::Duration;
use tokio::sync::oneshot;

/// Why a job was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("new jobs are refused: {0}")]
    NoSpace(Obstacle),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job may be on the disk nevertheless; then the next server continues it.
    #[error("the server is stopping")]
    Stopped,
}

/// The outcome of a cancel command.
#[derive(Debug)]
pub enum Cancelled {
    /// The job is marked cancelled and its scanners have been ordered to stop.
    Done,
    /// As `Done`, but the disk refused the write: a crash before the write succeeds would undo the
    /// cancel.
    Unwritten(StoreError),
    /// No such job is queued or running here.
    NotRunning,
    /// The server is stopping: the job is unchanged.
    Stopped,
}

/// A change of the turns of an unfinished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnRequest {
    /// Running scans end on their own, and nothing more is started.
    Pause,
    Resume,
    /// The job goes before the other jobs of its user.
    Bump,
}

/// The outcome of a [`TurnRequest`].
#[derive(Debug)]
pub enum TurnChanged {
    /// The change is on the disk.
    Done,
    /// The change applies, but the disk refused the write: a crash before the write succeeds would
    /// undo it.
    Unwritten(StoreError),
    /// The job is finished, or cancelled.
    Finished,
    /// No such job is queued or running here.
    NotRunning,
    /// The server is stopping: the job is unchanged.
    Stopped,
}

/// The outcome of a retry command.
#[derive(Debug)]
pub enum Retried {
    /// The reopened job is on the disk. If its repositories have to be listed first, the listing
    /// has started.
    GoesOn,
    /// The job is not finished.
    Running,
    NothingFailed,
    /// The job has no plan of ours: another program created it.
    NotOurs,
    /// The job's files are being removed.
    Gone,
    /// The disk refused an operation.
    Failed(StoreError),
    /// The server is stopping.
    Stopped,
}

/// Why a job's files were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("the server is stopping; the job is cancelled, its files are not removed")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A command to the loop.
#[derive(Debug)]
pub(super) enum Command {
    Create {
        job: Box<NewJob>,
        answer: oneshot::Sender<Result<(), CreateError>>,
    },
    /// Continues a job that could not be read at start.
    Resume(Box<RecoveredJob>),
    Waiting {
        id: JobId,
        reason: Option<String>,
    },
    Planned {
        id: JobId,
        planned: Planned,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    Retry {
        id: JobId,
        /// Only the repositories that failed for this cause.
        cause: Option<FailureKind>,
        answer: oneshot::Sender<Retried>,
    },
    Cancel {
        id: JobId,
        answer: oneshot::Sender<Cancelled>,
    },
    Turn {
        id: JobId,
        request: TurnRequest,
        answer: oneshot::Sender<TurnChanged>,
    },
    Remove {
        id: JobId,
        /// The first line of its archive record, if the job is archived and not deleted.
        archive: Option<Box<ArchiveHeader>>,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Changes how many scans may run at once.
    Ceiling {
        ceiling: usize,
        answer: oneshot::Sender<ScanLimits>,
    },
    /// The settings have been reloaded.
    Reloaded,
    Stop {
        patience: Duration,
        answer: oneshot::Sender<()>,
    },
}

impl Command {
    /// The job that the command concerns.
    pub(super) fn job(&self) -> Option<&JobId> {
        match self {
            Self::Create { job, .. } => Some(&job.id),
            Self::Resume(job) => Some(&job.id),
            Self::Waiting { id, .. }
            | Self::Planned { id, .. }
            | Self::Retry { id, .. }
            | Self::Cancel { id, .. }
            | Self::Turn { id, .. }
            | Self::Remove { id, .. } => Some(id),
            Self::Ceiling { .. } | Self::Reloaded | Self::Stop { .. } => None,
        }
    }
}
