//! What the rest of the program holds of the supervisor.
//!
//! Input: commands. Output: their answers.
//!
//! Invariants: a command that has been sent is carried out, whether or not somebody still waits for
//! its answer; every change of a job is a command.

use super::{
    RecoveredJob, Setup,
    actor::Actor,
    job::{NewJob, Planned, Planning},
    scans::Scans,
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

/// Orders on their way to the loop: a few per request that is being answered.
const COMMANDS: usize = 256;

/// The handle of the loop; clones speak to the same one.
#[derive(Debug, Clone)]
pub struct Supervisor {
    commands: mpsc::Sender<Command>,
    places: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    queued: Arc<AtomicUsize>,
    scans: Arc<Scans>,
}

/// Why a job was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("new jobs are refused: {0}")]
    NoPlace(Obstacle),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It may be on the disk all the same; then the next server goes on with it.
    #[error("the server is stopping")]
    Stopped,
}

/// The outcome of a cancel command.
#[derive(Debug)]
pub enum Cancelled {
    /// The job is called cancelled, its scanners have been told to end.
    Done,
    /// The same, but the disk refuses to keep it: until that is written, a crash would undo it.
    Unwritten(StoreError),
    /// No such job is queued or running here.
    NotRunning,
    /// The server stops: the job is as it was.
    Stopped,
}

/// The outcome of a command to scan again what failed of a finished job.
#[derive(Debug)]
pub enum Retried {
    /// That it goes on is on the disk. If its repositories have to be listed first, they are being
    /// listed.
    GoesOn,
    /// It is not finished.
    Running,
    NothingFailed,
    /// Another program's job: it has no plan of ours.
    NotOurs,
    /// Its files are being removed.
    Gone,
    /// What the disk says.
    Failed(StoreError),
    /// The server stops.
    Stopped,
}

/// Why a job's files are still there.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("the server stops; the job is cancelled, its files are still there")]
    Stopped,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the loop is told.
#[derive(Debug)]
pub(super) enum Command {
    Create {
        job: Box<NewJob>,
        answer: oneshot::Sender<Result<(), CreateError>>,
    },
    /// One that could not be read at the start.
    Resume(Box<RecoveredJob>),
    Found {
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
    /// The job that is meant.
    pub(super) fn job(&self) -> Option<&JobId> {
        match self {
            Self::Create { job, .. } => Some(&job.id),
            Self::Resume(job) => Some(&job.id),
            Self::Found { id, .. }
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
    /// Starts the loop on `tasks`, with what was found at start. Jobs whose repositories have to be
    /// listed go to `planner`, whose answer is [`planned`](Self::planned).
    pub fn start(
        setup: Setup,
        recovered: Vec<RecoveredJob>,
        planner: mpsc::UnboundedSender<Planning>,
        tasks: &TaskTracker,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let handle = Self {
            commands,
            places: Arc::new(Semaphore::new(setup.config.jobs.max_queued_jobs)),
            running: Arc::default(),
            queued: Arc::default(),
            scans: Arc::new(Scans::new()),
        };
        let actor = Actor::new(setup, planner, handle.clone());
        tasks.spawn(actor.run(inbox, recovered));
        handle
    }

    /// A place among the jobs that wait for their first scan; `None` when the queue is full.
    pub fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Creates a job: returns once its folder is on the disk and its repositories are queued.
    ///
    /// # Errors
    /// What kept it from being stored; there is no job then.
    pub async fn create(&self, job: NewJob) -> Result<(), CreateError> {
        let (answer, created) = oneshot::channel();
        let _ = self.commands.send(Command::Create { job: Box::new(job), answer }).await;
        created.await.unwrap_or(Err(CreateError::Stopped))
    }

    /// Goes on with a job that could not be read at the start, and has been read since.
    pub async fn resume(&self, job: RecoveredJob) {
        let _ = self.commands.send(Command::Resume(Box::new(job))).await;
    }

    /// Says how many repositories of a job are known by now, while they are being found out.
    pub fn note_found(&self, id: &JobId, count: u64) {
        // Lost while the loop is busy: the plan says it in the end.
        let _ = self.commands.try_send(Command::Found { id: id.clone(), count });
    }

    /// Says what a job waits for before its repositories are listed, or that it waits no more.
    pub async fn note_waiting(&self, id: &JobId, reason: Option<String>) {
        let _ = self.commands.send(Command::Waiting { id: id.clone(), reason }).await;
    }

    /// Says which repositories a job has. If nobody wants to know any more, nothing happens.
    ///
    /// # Errors
    /// What the disk says; nothing has changed then, and it may be said again.
    pub async fn planned(&self, id: &JobId, planned: Planned) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let _ = self.commands.send(Command::Planned { id: id.clone(), planned, answer }).await;
        // The loop has ended: the next server finds an incomplete plan.
        done.await.unwrap_or(Ok(()))
    }

    /// Scans again what failed of a finished job: returns once that is on the disk.
    pub async fn retry(&self, id: &JobId) -> Retried {
        let (answer, retried) = oneshot::channel();
        let _ = self.commands.send(Command::Retry { id: id.clone(), answer }).await;
        retried.await.unwrap_or(Retried::Stopped)
    }

    /// Cancels a job: returns once that is on the disk; its scanners end a little later.
    pub async fn cancel(&self, id: &JobId) -> Cancelled {
        let (answer, cancelled) = oneshot::channel();
        let _ = self.commands.send(Command::Cancel { id: id.clone(), answer }).await;
        cancelled.await.unwrap_or(Cancelled::Stopped)
    }

    /// Cancels a job, waits until its scanners are gone, and removes its files.
    ///
    /// # Errors
    /// What the disk says, or that the loop has ended; some files may be left then.
    pub async fn remove(&self, id: &JobId) -> Result<(), RemoveError> {
        let (answer, removed) = oneshot::channel();
        let _ = self.commands.send(Command::Remove { id: id.clone(), answer }).await;
        Ok(removed.await.map_err(|_| RemoveError::Stopped)??)
    }

    /// Ends all scanners in order and queues their repositories for the next start. Returns when
    /// no shim is left, or when `patience` is.
    pub async fn stop(&self, patience: Duration) {
        let (answer, stopped) = oneshot::channel();
        let _ = self.commands.send(Command::Stop { patience, answer }).await;
        let _ = stopped.await;
    }

    /// Returns when the loop has ended: after a stop, or by a fault of its own.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Says how many scanners run, and how many repositories wait.
    pub(super) fn note_load(&self, running: usize, queued: usize) {
        self.running.store(running, Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// How the scans of this run of the server ended, and how long they took.
    pub fn scans(&self) -> &Scans {
        &self.scans
    }

    /// How many scanners run, and how many repositories wait.
    pub fn load(&self) -> (usize, usize) {
        (self.running.load(Ordering::Relaxed), self.queued.load(Ordering::Relaxed))
    }
}
