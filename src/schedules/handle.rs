//! The handle of the task that runs schedules.
//!
//! Input: commands. Output: their answers, what is published, counters. Invariants: a command that was sent is carried
//! out, whether or not the caller still waits; reading waits for nothing.

use super::{document::Published, record::RunOutcome};
use crate::{
    intake::IntakeError,
    model::{
        JobId,
        schedule::{ScheduleName, ScheduleSpec},
        time::Timestamp,
        timetable::Timetable,
    },
    store::StoreError,
};
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{mpsc, oneshot};

/// What happened to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    Replaced,
}

/// Why a schedule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("The settings define the schedule {0}")]
    OfSettings(ScheduleName),
    #[error("There are {0} schedules already")]
    Many(usize),
    #[error("Schedule not found")]
    NotFound,
    #[error("the schedule cannot be stored")]
    Store(#[from] StoreError),
    #[error("The server is stopping")]
    Stopped,
}

/// A run that a user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStarted {
    pub job_id: JobId,
    /// The job that has to finish first; `None` if the new one is queued.
    pub waits_for: Option<JobId>,
    pub requested_at: Timestamp,
}

/// Why a schedule was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("Schedule not found")]
    NotFound,
    #[error("Job {0} of the run before is not finished")]
    Unfinished(JobId),
    #[error("Another run of the schedule has not started yet")]
    Pending,
    #[error(transparent)]
    Refused(#[from] IntakeError),
    #[error("the run cannot be stored")]
    Store(#[from] StoreError),
    #[error("The server is stopping")]
    Stopped,
}

/// A command to the task.
#[derive(Debug)]
pub(super) enum Command {
    Put {
        name: ScheduleName,
        definition: Box<(ScheduleSpec, Timetable)>,
        answer: oneshot::Sender<Result<Put, ChangeError>>,
    },
    Remove {
        name: ScheduleName,
        answer: oneshot::Sender<Result<(), ChangeError>>,
    },
    Run {
        name: ScheduleName,
        answer: oneshot::Sender<Result<RunStarted, RunError>>,
    },
    /// The settings have been reloaded: the files are read again, too.
    Reload,
}

/// What readers and the task share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    published: RwLock<Arc<Published>>,
    outcomes: [AtomicU64; 3],
}

/// The outcomes of runs, as the labels of a metric.
const OUTCOMES: [(RunOutcome, &str); 3] = [
    (RunOutcome::Started, "started"),
    (RunOutcome::Skipped, "skipped"),
    (RunOutcome::Failed, "failed"),
];

impl Shared {
    pub(super) fn publish(&self, published: Published) {
        let mut current = self.published.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(published);
    }

    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn count(&self, outcome: RunOutcome) {
        for ((known, _), count) in OUTCOMES.iter().zip(&self.outcomes) {
            if *known == outcome {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The handle. Clones address the same task.
#[derive(Debug, Clone)]
pub struct Schedules {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl Schedules {
    pub(super) fn new(commands: mpsc::Sender<Command>, shared: Arc<Shared>) -> Self {
        Self { commands, shared }
    }

    /// All schedules at this moment.
    pub fn published(&self) -> Arc<Published> {
        self.shared.published()
    }

    /// How many runs had each outcome since the start of the server.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.shared.outcomes.iter().map(|count| count.load(Ordering::Relaxed));
        OUTCOMES.iter().map(|(_, name)| *name).zip(counts)
    }

    /// Creates or replaces a schedule; durable when it returns.
    ///
    /// # Errors
    /// Why it was not changed.
    pub async fn put(
        &self,
        name: ScheduleName,
        spec: ScheduleSpec,
        timetable: Timetable,
    ) -> Result<Put, ChangeError> {
        let definition = Box::new((spec, timetable));
        let put = self.ask(|answer| Command::Put { name, definition, answer }).await;
        put.unwrap_or(Err(ChangeError::Stopped))
    }

    /// Removes a schedule; durable when it returns. Its jobs stay.
    ///
    /// # Errors
    /// Why it was not removed.
    pub async fn remove(&self, name: ScheduleName) -> Result<(), ChangeError> {
        let removed = self.ask(|answer| Command::Remove { name, answer }).await;
        removed.unwrap_or(Err(ChangeError::Stopped))
    }

    /// Runs a schedule now, also one that is switched off.
    ///
    /// # Errors
    /// Why it was not run.
    pub async fn run(&self, name: ScheduleName) -> Result<RunStarted, RunError> {
        let run = self.ask(|answer| Command::Run { name, answer }).await;
        run.unwrap_or(Err(RunError::Stopped))
    }

    /// Takes in the settings that are in force now, and reads the files again.
    pub async fn reloaded(&self) {
        let _ = self.commands.send(Command::Reload).await;
    }

    /// Sends a command; `None` if the task has ended.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        answered.await.ok()
    }
}
