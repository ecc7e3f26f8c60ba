//! The handle through which the rest of the program uses the supervisor.
//!
//! Input: commands. Output: their answers.
//!
//! Invariants: a command that has been sent is carried out, whether or not the caller still waits
//! for the answer; every change of a job is a command.

use super::{
    RecoveredJob, Setup,
    actor::Actor,
    job::{NewJob, Planned, Planning},
    scan_metrics::ScanMetrics,
};
use crate::{
    model::JobId,
    store::{StoreError, space::Obstacle},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Capacity of the command channel: a few commands per request in progress.
const COMMANDS: usize = 256;

/// The handle of the loop; all clones address the same loop.
#[derive(Debug, Clone)]
pub struct Supervisor {
    commands: mpsc::Sender<Command>,
    queue_permits: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    scan_metrics: Arc<ScanMetrics>,
}

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
    Listed {
        id: JobId,
        count: u64,
    },
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
        answer: oneshot::Sender<Retried>,
    },
    Cancel {
        id: JobId,
        answer: oneshot::Sender<Cancelled>,
    },
    Remove {
        id: JobId,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
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
            Self::Listed { id, .. }
            | Self::Waiting { id, .. }
            | Self::Planned { id, .. }
            | Self::Retry { id, .. }
            | Self::Cancel { id, .. }
            | Self::Remove { id, .. } => Some(id),
            Self::Stop { .. } => None,
        }
    }
}

impl Supervisor {
    /// Starts the loop on `tasks` with the jobs that were found at start. Jobs whose repositories
    /// have to be listed go to `planner`, which answers with [`planned`](Self::planned).
    pub fn start(
        setup: Setup,
        recovered: Vec<RecoveredJob>,
        planner: mpsc::UnboundedSender<Planning>,
        tasks: &TaskTracker,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let handle = Self {
            commands,
            queue_permits: Arc::new(Semaphore::new(setup.config.jobs.max_queued_jobs)),
            running: Arc::default(),
            queued: Arc::default(),
            scan_metrics: Arc::new(ScanMetrics::new()),
        };
        let actor = Actor::new(setup, planner, handle.clone());
        tasks.spawn(actor.run(inbox, recovered));
        handle
    }

    /// Reserves a permit of the queue of jobs that wait for their first scan; `None` if the queue
    /// is full.
    pub fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.queue_permits).try_acquire_owned().ok()
    }

    /// Creates a job; returns once its folder is on the disk and its repositories are queued.
    ///
    /// # Errors
    /// Why the job could not be stored; in that case there is no job.
    pub async fn create(&self, job: NewJob) -> Result<(), CreateError> {
        let (answer, created) = oneshot::channel();
        let _ = self.commands.send(Command::Create { job: Box::new(job), answer }).await;
        created.await.unwrap_or(Err(CreateError::Stopped))
    }

    /// Continues a job that could not be read at start and has been read since.
    pub async fn resume(&self, job: RecoveredJob) {
        let _ = self.commands.send(Command::Resume(Box::new(job))).await;
    }

    /// Reports how many repositories of a job have been listed so far.
    pub fn note_found(&self, id: &JobId, count: u64) {
        // Dropped while the loop is busy: the complete plan contains the count.
        let _ = self.commands.try_send(Command::Listed { id: id.clone(), count });
    }

    /// Reports what a job waits for before its repositories are listed; `None` if it no longer
    /// waits.
    pub async fn note_waiting(&self, id: &JobId, reason: Option<String>) {
        let _ = self.commands.send(Command::Waiting { id: id.clone(), reason }).await;
    }

    /// Reports a job's repositories. Does nothing if the plan is no longer needed.
    ///
    /// # Errors
    /// If the disk refuses the write; nothing has changed then, and the call may be repeated.
    pub async fn planned(&self, id: &JobId, planned: Planned) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let _ = self.commands.send(Command::Planned { id: id.clone(), planned, answer }).await;
        // If the loop has ended, the next server finds an incomplete plan.
        done.await.unwrap_or(Ok(()))
    }

    /// Scans the failed repositories of a finished job again; returns once that is on the disk.
    pub async fn retry(&self, id: &JobId) -> Retried {
        let (answer, retried) = oneshot::channel();
        let _ = self.commands.send(Command::Retry { id: id.clone(), answer }).await;
        retried.await.unwrap_or(Retried::Stopped)
    }

    /// Cancels a job; returns once that is on the disk. Its scanners stop a little later.
    pub async fn cancel(&self, id: &JobId) -> Cancelled {
        let (answer, cancelled) = oneshot::channel();
        let _ = self.commands.send(Command::Cancel { id: id.clone(), answer }).await;
        cancelled.await.unwrap_or(Cancelled::Stopped)
    }

    /// Cancels a job, waits until its scanners have exited, and removes its files.
    ///
    /// # Errors
    /// If the disk refuses, or the loop has ended; some files may be left then.
    pub async fn remove(&self, id: &JobId) -> Result<(), RemoveError> {
        let (answer, removed) = oneshot::channel();
        let _ = self.commands.send(Command::Remove { id: id.clone(), answer }).await;
        Ok(removed.await.map_err(|_| RemoveError::Stopped)??)
    }

    /// Stops all scanners and queues their repositories for the next start. Returns when no shim is
    /// left or `patience` has passed.
    pub async fn stop(&self, patience: Duration) {
        let (answer, stopped) = oneshot::channel();
        let _ = self.commands.send(Command::Stop { patience, answer }).await;
        let _ = stopped.await;
    }

    /// Returns when the loop has ended: after a stop, or because it failed.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Stores how many scanners run and how many repositories wait.
    pub(super) fn note_load(&self, running: usize, queued: usize) {
        self.running.store(running, Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// How the scans of this server run ended, and how long they took.
    pub fn scan_metrics(&self) -> &ScanMetrics {
        &self.scan_metrics
    }

    /// How many scanners run and how many repositories wait.
    pub fn load(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.queued.load(Ordering::Relaxed))
    }
}
