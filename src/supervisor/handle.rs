//! What the rest of the program holds of the supervisor: wishes go in, answers come out.

use super::{
    RecoveredJob, Setup,
    actor::Actor,
    job::{NewJob, Planned, Planning},
    scans::Scans,
};
use crate::{model::JobId, store::StoreError};
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

/// What became of a wish to cancel.
#[derive(Debug)]
pub enum Cancelled {
    /// The job is called cancelled, its scanners have been told to end.
    Done,
    /// The same, but the disk refuses to keep it: until that is written, a crash would undo it.
    Unwritten(StoreError),
    /// No such job is queued or running here.
    NotRunning,
}

/// What became of a wish to scan again what failed of a finished job.
#[derive(Debug)]
pub enum Retried {
    /// It is on the disk. If its repositories are to be found out first, that is left to do.
    GoesOn(Option<Planning>),
    /// It is not over.
    Running,
    NothingFailed,
    /// Another program's job: it has no plan of ours.
    NotOurs,
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
    Submit(Box<NewJob>),
    /// One that could not be read at the start.
    Resume(Box<RecoveredJob>),
    Found {
        id: JobId,
        count: u64,
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
            Self::Submit(job) => Some(&job.id),
            Self::Resume(job) => Some(&job.id),
            Self::Found { id, .. }
            | Self::Planned { id, .. }
            | Self::Retry { id, .. }
            | Self::Cancel { id, .. }
            | Self::Remove { id, .. } => Some(id),
            Self::Stop { .. } => None,
        }
    }
}

impl Supervisor {
    /// Starts the loop on `tasks`, with what was found at start.
    pub fn start(setup: Setup, recovered: Vec<RecoveredJob>, tasks: &TaskTracker) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let handle = Self {
            commands,
            places: Arc::new(Semaphore::new(setup.config.jobs.max_queued_jobs)),
            running: Arc::default(),
            queued: Arc::default(),
            scans: Arc::new(Scans::new()),
        };
        let actor = Actor::new(setup, handle.clone());
        tasks.spawn(actor.run(inbox, recovered));
        handle
    }

    /// A place among the jobs that wait for their first scan; `None` when the queue is full.
    pub fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Queues a job whose folder has been made.
    pub async fn submit(&self, job: NewJob) {
        // The loop ends only with the process: then the next one finds the job on the disk.
        let _ = self.commands.send(Command::Submit(Box::new(job))).await;
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
        cancelled.await.unwrap_or(Cancelled::NotRunning)
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
