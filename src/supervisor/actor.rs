//! The loop: takes one event at a time, asks the scheduler, performs what it says.
//!
//! What flows in: commands from the handle, and the ends of shims. What flows out: shims, files,
//! answers. Disk and processes are touched on blocking threads, one effect after the other, so
//! that the files of a job change in the order of its events.

use super::{
    RecoveredJob, RepoKey, Setup,
    handle::{Cancelled, Command, Supervisor},
    job::{Job, NewJob},
    plans::Revived,
    recovery::Found,
    repositories::Discards,
    retry::PauseOver,
    scheduler::{Effect, Event, Scheduler, Standing},
    spawn::Shim,
};
use crate::{
    model::JobId,
    store::{StoreError, atomic::Durability, chain, read::is_missing_folder, trash},
};
use chrono::Utc;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinSet, spawn_blocking},
    time::{Instant, MissedTickBehavior, sleep_until},
};

/// How often a job's `master.json` is rewritten at most, while only its lists change.
const MASTER_INTERVAL: Duration = Duration::from_secs(1);
/// How often is looked whether the jobs still have their folders.
const FOLDER_INTERVAL: Duration = Duration::from_secs(2);
/// How often the disk is asked whether it takes writes, while the queue waits for it.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);

/// The loop's own things.
pub(super) struct Actor {
    pub(super) setup: Setup,
    pub(super) scheduler: Scheduler,
    pub(super) jobs: HashMap<JobId, Job>,
    pub(super) shims: HashMap<RepoKey, Shim>,
    pub(super) ends: JoinSet<(RepoKey, Option<i32>)>,
    /// The pauses between two tries.
    pub(super) pauses: JoinSet<PauseOver>,
    /// Ends of unstarted repositories that are being written.
    pub(super) discards: JoinSet<Discards>,
    /// Who waits for a job's shims to be gone before its files are removed.
    removals: HashMap<JobId, Vec<oneshot::Sender<Result<(), StoreError>>>>,
    pub(super) revivals: JoinSet<Revived>,
    /// Finished jobs that are about to go on, and what was wished of them meanwhile.
    pub(super) reviving: HashMap<JobId, Vec<Command>>,
    pub(super) stop: Option<(Instant, oneshot::Sender<()>)>,
    flush_at: Option<Instant>,
    /// Jobs whose folders were not there when they were last looked for.
    missing: HashSet<JobId>,
    pub(super) handle: Supervisor,
}

impl Actor {
    /// With nothing to do yet.
    pub(super) fn new(setup: Setup, handle: Supervisor) -> Self {
        Self {
            scheduler: Scheduler::new(setup.config.scanner.max_concurrent_processes),
            setup,
            jobs: HashMap::new(),
            shims: HashMap::new(),
            ends: JoinSet::new(),
            pauses: JoinSet::new(),
            discards: JoinSet::new(),
            removals: HashMap::new(),
            revivals: JoinSet::new(),
            reviving: HashMap::new(),
            stop: None,
            flush_at: None,
            missing: HashSet::new(),
            handle,
        }
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        recovered: Vec<RecoveredJob>,
    ) {
        for job in recovered {
            self.resume(job).await;
        }
        let mut folders = tokio::time::interval(FOLDER_INTERVAL);
        folders.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut space = tokio::time::interval(SPACE_INTERVAL);
        space.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stop_at = self.stop.as_ref().map(|(at, _)| *at);
            tokio::select! {
                Some(ended) = self.ends.join_next(), if !self.ends.is_empty() => match ended {
                    Ok((key, code)) => self.shim_ended(key, code).await,
                    Err(error) => tracing::error!(%error, "a task that awaits a shim failed"),
                },
                Some(Ok(over)) = self.pauses.join_next(), if !self.pauses.is_empty() => {
                    self.pause_over(over).await;
                }
                Some(Ok(discards)) = self.discards.join_next(), if !self.discards.is_empty() => {
                    self.discarded(discards).await;
                }
                Some(revived) = self.revivals.join_next(), if !self.revivals.is_empty() => {
                    match revived {
                        Ok(revived) => self.revived(revived).await,
                        Err(error) => tracing::error!(%error, "a task that revives a job failed"),
                    }
                }
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = folders.tick() => self.look_for_folders().await,
                _ = space.tick(), if self.scheduler.waits_for_space() => {
                    self.look_for_space().await;
                }
                () = sleep_until(self.flush_at.unwrap_or_else(Instant::now)),
                    if self.flush_at.is_some() => self.flush().await,
                () = sleep_until(stop_at.unwrap_or_else(Instant::now)), if stop_at.is_some() => {
                    tracing::warn!(left = self.shims.len(), "scanners did not end in time; they end by themselves");
                    self.shims.clear();
                }
            }
            let (running, queued) = (self.scheduler.running(), self.scheduler.queued());
            self.handle.note_load(running, queued);
            if self.shims.is_empty()
                && let Some((_, answer)) = self.stop.take()
            {
                self.flush().await;
                let _ = answer.send(());
                return;
            }
        }
    }

    pub(super) async fn obey(&mut self, command: Command) {
        if let Some(id) = command.job()
            && let Some(waiting) = self.reviving.get_mut(id)
        {
            waiting.push(command);
            return;
        }
        match command {
            Command::Submit(job) => {
                let id = job.id.clone();
                let job = Job::new(*job);
                let queued = job.repositories.keys().copied().collect();
                let planning = job.planning.is_some();
                self.jobs.insert(id.clone(), job);
                let standing = Standing { queued, planning, ..Standing::default() };
                self.on(Event::Submitted(id, standing)).await;
            }
            // It may have been revived meanwhile.
            Command::Resume(job) if self.jobs.contains_key(&job.id) => {}
            Command::Resume(job) => self.resume(*job).await,
            Command::Found { id, count } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.planning.is_some()) {
                    job.note_found(count);
                    self.flush_soon();
                }
            }
            Command::Planned { id, planned, answer } => {
                let done = self.planned(&id, planned).await;
                let _ = answer.send(done);
            }
            Command::Retry { id, answer } => self.retry(id, answer),
            Command::Cancel { id, answer } => {
                let cancelled = self.cancel(&id).await;
                let _ = answer.send(cancelled);
            }
            Command::Remove { id, answer } => {
                // What is removed needs no wish.
                let _ = self.note_cancelled(&id).await;
                self.removals.entry(id.clone()).or_default().push(answer);
                // What is about to be removed needs no ends.
                self.on(Event::Vanished(id.clone())).await;
                self.remove_if_over(&id).await;
            }
            Command::Stop { patience, answer } => {
                self.stop = Some((Instant::now() + patience, answer));
                self.on(Event::StopAsked).await;
            }
        }
    }

    /// Goes on with a job that was found at start, or revived.
    pub(super) async fn resume(&mut self, found: RecoveredJob) {
        let RecoveredJob { id, master, plan, planning, repositories } = found;
        let place = self.handle.reserve();
        let planning = planning.map(|it| it.stop);
        let mut job = Job::new(NewJob { id: id.clone(), master, plan, place, planning });
        let (mut queued, mut running) = (Vec::new(), Vec::new());
        let (mut adopted, mut refused, mut paused) = (Vec::new(), Vec::new(), Vec::new());
        for (index, found) in repositories {
            match found {
                Found::Over(status) => job.note_over(index, &status),
                Found::Running { holder, attempt } => {
                    running.push(index);
                    adopted.push((index, holder, attempt));
                }
                Found::Queued(next) => {
                    job.expect_attempt(index, next);
                    if next.pause.is_zero() {
                        queued.push(index);
                    } else {
                        paused.push((index, next));
                    }
                }
                Found::TriedAgain { cause, next, .. } => {
                    self.note_retry(&RepoKey { job: id.clone(), index }, cause, next);
                    job.expect_attempt(index, next);
                    paused.push((index, next));
                }
                Found::Refused(reason) => refused.push((index, reason)),
            }
        }
        let (n_adopted, n_queued, n_paused) = (adopted.len(), queued.len(), paused.len());
        tracing::info!(%id, adopted = n_adopted, queued = n_queued, paused = n_paused, "found an unfinished job");
        let (cancelled, planning) = (job.is_cancelled(), job.planning.is_some());
        self.jobs.insert(id.clone(), job);
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        for (index, holder, attempt) in adopted {
            let key = RepoKey { job: id.clone(), index };
            let (shim, awaited) = Shim::adopt(holder, attempt);
            self.watch(key, shim, awaited);
        }
        for (index, next) in &paused {
            self.time_pause(&RepoKey { job: id.clone(), index: *index }, *next);
        }
        let paused = paused.into_iter().map(|(index, _)| index).collect();
        // Of one that was cancelled the wish was written down, its consequences perhaps not.
        let standing = Standing { queued, running, paused, ending, cancelled, planning };
        self.on(Event::Submitted(id, standing)).await;
    }

    async fn cancel(&mut self, id: &JobId) -> Cancelled {
        if !self.jobs.contains_key(id) {
            return Cancelled::NotRunning;
        }
        let noted = self.note_cancelled(id).await;
        // Also where it could not be written: what runs may be what fills the disk.
        self.on(Event::CancelAsked(id.clone())).await;
        noted.map_or_else(Cancelled::Unwritten, |()| Cancelled::Done)
    }

    /// Calls a job cancelled, unless it has an end already that is yet to be written.
    async fn note_cancelled(&mut self, id: &JobId) -> Result<(), StoreError> {
        let Some(job) = self.jobs.get_mut(id).filter(|job| !job.over) else { return Ok(()) };
        if !job.is_cancelled() {
            job.cancel(Utc::now());
            tracing::info!(%id, "job cancelled");
        } else if !job.unwritten {
            return Ok(());
        }
        // The wish is durable before anything follows from it.
        self.write_master(id).await
    }

    /// Lets the scheduler take in an event, and performs what it says.
    pub(super) async fn on(&mut self, event: Event) {
        let mut effects: Vec<Effect> = self.scheduler.on(event);
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                next.extend(self.perform(effect).await);
            }
            effects = next;
        }
        if self.jobs.values().any(|job| job.dirty) {
            self.flush_soon();
        }
    }

    fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + MASTER_INTERVAL);
    }

    async fn perform(&mut self, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::Spawn(key) => self.spawn(key).await,
            Effect::End(key, reason) => {
                self.end(&key, reason).await;
                Vec::new()
            }
            Effect::Discard(id, indices) => {
                self.discard(id, indices);
                Vec::new()
            }
            Effect::StopPlanning(id) => {
                if let Some(stop) = self.jobs.get_mut(&id).and_then(|job| job.planning.take()) {
                    stop.cancel();
                }
                Vec::new()
            }
            Effect::Finish(id) => {
                self.finish(&id).await;
                Vec::new()
            }
        }
    }

    async fn finish(&mut self, id: &JobId) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.finish(Utc::now());
            job.over = true;
            let status = job.master.status.clone();
            tracing::info!(%id, status, "job over");
        }
        // If that has failed, it is tried again.
        let _ = self.write_master(id).await;
        self.remove_if_over(id).await;
    }

    /// Lets go of jobs whose folders somebody removed. Seen twice, and only while the jobs folder
    /// itself is there, and no other in its place: one that is unmounted or moved may come back,
    /// with all that is in it.
    async fn look_for_folders(&mut self) {
        let (jobs, space) = (self.setup.jobs.clone(), Arc::clone(&self.setup.space));
        let ids: Vec<JobId> = self.jobs.keys().cloned().collect();
        let looked = spawn_blocking(move || {
            // Said in the log as it changes, also where nobody submits anything.
            space.obstacle();
            let here = space.is_here();
            ids.into_iter().filter(|id| here && is_missing_folder(jobs.job(id).path())).collect()
        });
        let missing: HashSet<JobId> = looked.await.unwrap_or_default();
        let gone: Vec<JobId> = missing.intersection(&self.missing).cloned().collect();
        self.missing = missing;
        for id in gone {
            tracing::error!(%id, "the job's folder is gone; its scans are ended and it is forgotten");
            self.on(Event::Vanished(id.clone())).await;
            // Its shims may still be ending; there is nothing left that they could write.
            self.jobs.remove(&id);
        }
    }

    /// Lets the queue go on if the disk takes writes again.
    async fn look_for_space(&mut self) {
        let space = Arc::clone(&self.setup.space);
        let obstacle = spawn_blocking(move || space.obstacle()).await;
        if matches!(obstacle, Ok(None)) {
            self.on(Event::SpaceAgain).await;
        }
    }

    /// Answers those who wait to see a job's files removed, once none of its shims is left.
    async fn remove_if_over(&mut self, id: &JobId) {
        if self.jobs.contains_key(id) {
            return;
        }
        for answer in self.removals.remove(id).unwrap_or_default() {
            let (jobs, id) = (self.setup.jobs.clone(), id.clone());
            let removed = spawn_blocking(move || trash::remove_job(&jobs, &id)).await;
            // Only a panic leaves no outcome: then the answer is dropped.
            if let Ok(removed) = removed {
                let _ = answer.send(removed);
            }
        }
    }

    /// Writes the master files that lag behind.
    async fn flush(&mut self) {
        self.flush_at = None;
        let dirty: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| job.dirty).map(|(id, _)| id.clone()).collect();
        for id in dirty {
            // If that has failed, it is tried again.
            let _ = self.write_master(&id).await;
            self.remove_if_over(&id).await;
        }
    }

    /// Writes a job's master file; an ended job is let go once that has worked. What has not
    /// worked is tried again.
    pub(super) async fn write_master(&mut self, id: &JobId) -> Result<(), StoreError> {
        let Some(job) = self.jobs.get_mut(id) else { return Ok(()) };
        job.update_lists(Utc::now());
        // What a client may rely on is flushed: creation, cancel, end. Lists need not be the newest
        // after a power cut, but whole: without this file nobody would know what is to be scanned.
        let durable = job.master.final_state().is_some();
        let durability = if durable { Durability::Flushed } else { Durability::Content };
        let (master, folder, over) = (job.master.clone(), self.setup.jobs.job(id), job.over);
        let written = spawn_blocking(move || folder.write_master(&master, durability)).await;
        let written = written.unwrap_or_else(|error| {
            Err(StoreError::at("write", self.setup.jobs.job(id).path())(error.into()))
        });
        match &written {
            Ok(()) => {
                if std::mem::take(&mut job.unwritten) {
                    tracing::info!(%id, "master.json is written again");
                }
            }
            Err(error) => {
                job.dirty = true;
                // Said once, and not each second for as long as the disk is away.
                if !std::mem::replace(&mut job.unwritten, true) {
                    tracing::error!(%id, error = chain(error), "cannot write master.json; it is tried again");
                }
                self.flush_soon();
            }
        }
        // A folder that is being removed needs no end.
        if over && (written.is_ok() || self.removals.contains_key(id)) {
            self.jobs.remove(id);
        }
        written
    }
}
