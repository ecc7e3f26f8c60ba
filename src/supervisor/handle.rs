//! The handle through which the rest of the program uses the supervisor.
//!
//! Input: commands. Output: their answers.
//!
//! Invariants: a command that has been sent is carried out, whether or not the caller still waits
//! for the answer; all clones of the handle address the same loop.

use super::{
    Setup,
    actor::Actor,
    command::{Cancelled, Command, CreateError, RemoveError, Retried, TurnChanged, TurnRequest},
    engine::Agents,
    job::{NewJob, Planned, Planning, RecoveredJob},
    limits::ScanLimits,
    load::{Load, QueuePermit},
    scan_metrics::ScanMetrics,
};
use crate::{
    model::{FailureKind, JobId},
    store::{StoreError, archive::ArchiveHeader},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Capacity of the command channel: a few commands per request in progress.
const COMMANDS: usize = 256;

/// The handle of the loop.
#[derive(Debug, Clone)]
pub struct Supervisor {
    commands: mpsc::Sender<Command>,
    load: Arc<Load>,
    scan_metrics: Arc<ScanMetrics>,
    agents: Agents,
}

impl Supervisor {
    /// Starts the loop on `tasks` with the jobs that were found at start. Jobs whose repositories
    /// have to be listed go to `planner`, which answers with [`planned`](Self::planned).
    pub fn start(
        setup: Setup,
        agents: Agents,
        recovered: Vec<RecoveredJob>,
        planner: mpsc::UnboundedSender<Planning>,
        tasks: &TaskTracker,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let config = setup.config.get();
        let scans = config.scanner.max_concurrent_processes;
        let load = Arc::new(Load::new(config.jobs.max_queued_jobs, scans));
        let scan_metrics = Arc::new(ScanMetrics::new());
        let parts = (Arc::clone(&load), Arc::clone(&scan_metrics));
        let actor = Actor::new(setup, agents.clone(), planner, parts);
        // The connection to the agents lasts as long as the loop.
        let serving = agents.clone().serve();
        tasks.spawn(async move {
            tokio::select! {
                () = actor.run(inbox, recovered) => {}
                () = serving => {}
            }
        });
        Self { commands, load, scan_metrics, agents }
    }

    /// Reserves a permit of the queue of jobs that wait for their first scan; `None` if the queue
    /// is full.
    pub fn reserve(&self) -> Option<QueuePermit> {
        self.load.reserve()
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

    /// Reports what a job waits for before its repositories are listed; `None` if it no longer
    /// waits.
    pub async fn note_waiting(&self, id: &JobId, reason: Option<String>) {
        let _ = self.commands.send(Command::Waiting { id: id.clone(), reason }).await;
    }

    /// Reports a page of a job's repositories, or how the listing ended; returns once that is
    /// durable. Does nothing if the plan is no longer needed.
    ///
    /// # Errors
    /// If the disk refuses the write; nothing has changed then, and the call may be repeated.
    pub async fn planned(&self, id: &JobId, planned: Planned) -> Result<(), StoreError> {
        let (answer, done) = oneshot::channel();
        let _ = self.commands.send(Command::Planned { id: id.clone(), planned, answer }).await;
        // If the loop has ended, the next server finds an incomplete plan.
        done.await.unwrap_or(Ok(()))
    }

    /// Takes in the settings that are in force now, as far as the loop keeps any of them.
    pub async fn reloaded(&self) {
        let _ = self.commands.send(Command::Reloaded).await;
    }

    /// Scans the failed repositories of a finished job again, or only those that failed for one cause; returns once that
    /// is on the disk.
    pub async fn retry(&self, id: &JobId, cause: Option<FailureKind>) -> Retried {
        let (answer, retried) = oneshot::channel();
        let _ = self.commands.send(Command::Retry { id: id.clone(), cause, answer }).await;
        retried.await.unwrap_or(Retried::Stopped)
    }

    /// Cancels a job; returns once that is on the disk. Its scanners stop a little later.
    pub async fn cancel(&self, id: &JobId) -> Cancelled {
        let (answer, cancelled) = oneshot::channel();
        let _ = self.commands.send(Command::Cancel { id: id.clone(), answer }).await;
        cancelled.await.unwrap_or(Cancelled::Stopped)
    }

    /// Pauses, resumes or bumps a job; returns once that is on the disk.
    pub async fn change_turn(&self, id: &JobId, request: TurnRequest) -> TurnChanged {
        let (answer, changed) = oneshot::channel();
        let _ = self.commands.send(Command::Turn { id: id.clone(), request, answer }).await;
        changed.await.unwrap_or(TurnChanged::Stopped)
    }

    /// Cancels a job, waits until its scanners have exited, and removes its files, and its archive record if it has one.
    ///
    /// # Errors
    /// If the disk refuses, or the loop has ended; some files may be left then.
    pub async fn remove(&self, id: &JobId) -> Result<(), RemoveError> {
        self.send_removal(id, None).await
    }

    /// Archives a finished job and then removes its files. If its removal is requested meanwhile, it is removed
    /// altogether.
    ///
    /// # Errors
    /// As [`remove`](Self::remove). Nothing of a job that cannot be archived is removed, unless the disk lacks space.
    pub async fn retire(&self, header: ArchiveHeader) -> Result<(), RemoveError> {
        let id = header.job.clone();
        self.send_removal(&id, Some(Box::new(header))).await
    }

    async fn send_removal(
        &self,
        id: &JobId,
        archive: Option<Box<ArchiveHeader>>,
    ) -> Result<(), RemoveError> {
        let (answer, removed) = oneshot::channel();
        let _ = self.commands.send(Command::Remove { id: id.clone(), archive, answer }).await;
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

    /// The agents on other machines.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// How the scans of this server run ended, and how long they took.
    pub fn scan_metrics(&self) -> &ScanMetrics {
        &self.scan_metrics
    }

    /// How long the oldest job has waited for its first scan: since it was submitted or reopened, or
    /// since the start of the server. Zero if none waits.
    pub fn oldest_wait(&self) -> Duration {
        self.load.oldest_wait()
    }

    /// The jobs that wait for their first scan, in the order in which they are expected to get slots,
    /// without paused ones; at most as many as the queue may hold.
    pub fn waiting_jobs(&self) -> Vec<JobId> {
        self.load.waiting_jobs()
    }

    /// Changes how many scans may run at once, until the settings are read again; running scans
    /// continue. `None` if the server is stopping.
    pub async fn set_ceiling(&self, ceiling: usize) -> Option<ScanLimits> {
        let (answer, done) = oneshot::channel();
        let _ = self.commands.send(Command::Ceiling { ceiling, answer }).await;
        done.await.ok()
    }

    /// How many scans may run at once, and why.
    pub fn limits(&self) -> ScanLimits {
        self.load.limits()
    }

    /// How many scanners run and how many repositories wait.
    pub fn load(&self) -> (usize, usize) {
        self.load.counts()
    }
}
