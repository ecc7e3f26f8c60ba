//! The supervisor's event loop: takes one event at a time, asks the scheduler, carries out the
//! effects.
//!
//! Input: commands from the handle, outcomes of effects, exits of shims, timers. Output: effects,
//! answers.
//!
//! Invariants: the loop never blocks on disk or processes. Whatever does is an effect: it runs
//! beside the loop on the threads of its purpose (`pools`), and its outcome is an event. Effects on
//! a job as a whole run one after the other (`job_steps`), and so do effects on one repository
//! (`repositories`); waiting on behalf of one job delays no other.

use super::{
    RecoveredJob, RepoKey, Setup,
    discards::Discards,
    handle::{Command, Supervisor},
    job::{Job, NewJob, Planning},
    job_steps::{self, JobSteps},
    pools::{Pools, Purpose},
    recovery::Disposition,
    repositories::{self, Phase},
    retry::PauseEnded,
    scheduler::{Effect, Event, Scheduler, Standing},
    shim_exit::ShimExit,
    spawn::Shim,
};
use crate::{model::JobId, store::read::is_missing_folder};
use chrono::Utc;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, sleep_until},
};

/// The minimum time between two writes of a job's `master.json` while only its lists change.
const MASTER_INTERVAL: Duration = Duration::from_secs(1);
/// How often the loop checks that the jobs' folders still exist.
const FOLDER_INTERVAL: Duration = Duration::from_secs(2);
/// How often the loop checks whether the disk accepts writes while the queue waits for space.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);

/// The state of the loop.
pub(super) struct Actor {
    pub(super) setup: Setup,
    pub(super) scheduler: Scheduler,
    pub(super) jobs: HashMap<JobId, Job>,
    /// Repositories that hold a slot, with what the loop waits for.
    pub(super) phases: HashMap<RepoKey, Phase>,
    pub(super) ends: JoinSet<(RepoKey, ShimExit)>,
    /// Timers of the pauses between two attempts.
    pub(super) pauses: JoinSet<PauseEnded>,
    /// Timers after which a scan counts as slow: the repository and its attempt.
    pub(super) slow: JoinSet<(RepoKey, u64)>,
    /// Writes of final states for repositories that were not started.
    pub(super) discards: JoinSet<Discards>,
    pub(super) steps: JobSteps,
    pub(super) pools: Pools,
    /// A stop waits for these.
    pub(super) effects: JoinSet<Outcome>,
    checks: JoinSet<Checked>,
    pub(super) planner: mpsc::UnboundedSender<Planning>,
    pub(super) stop: Option<Stop>,
    flush_at: Option<Instant>,
    /// Jobs whose folders were missing at the last check.
    missing: HashSet<JobId>,
    pub(super) handle: Supervisor,
}

/// A requested stop.
pub(super) struct Stop {
    /// The stop waits no longer than this.
    at: Instant,
    answer: oneshot::Sender<()>,
    /// The final writes of the jobs' lists have been started.
    flushed: bool,
}

/// The outcome of an effect.
pub(super) enum Outcome {
    /// On a job as a whole.
    Step(JobId, job_steps::Done),
    Repository(RepoKey, Box<repositories::Done>),
}

/// The result of a periodic check.
enum Checked {
    /// These jobs have no folder.
    Folders(HashSet<JobId>),
    /// Whether the disk accepts writes.
    Space(bool),
}

impl Actor {
    /// An actor without jobs.
    pub(super) fn new(
        setup: Setup,
        planner: mpsc::UnboundedSender<Planning>,
        handle: Supervisor,
    ) -> Self {
        let scanners = setup.config.scanner.max_concurrent_processes;
        Self {
            scheduler: Scheduler::new(scanners),
            setup,
            jobs: HashMap::new(),
            phases: HashMap::new(),
            ends: JoinSet::new(),
            pauses: JoinSet::new(),
            slow: JoinSet::new(),
            discards: JoinSet::new(),
            steps: JobSteps::default(),
            pools: Pools::new(scanners),
            effects: JoinSet::new(),
            checks: JoinSet::new(),
            planner,
            stop: None,
            flush_at: None,
            missing: HashSet::new(),
            handle,
        }
    }

    /// Runs until a stop is complete.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        recovered: Vec<RecoveredJob>,
    ) {
        for job in recovered {
            self.resume(job);
        }
        let mut folders = tokio::time::interval(FOLDER_INTERVAL);
        folders.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut space = tokio::time::interval(SPACE_INTERVAL);
        space.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stop_at = self.stop.as_ref().map(|stop| stop.at);
            tokio::select! {
                Some(ended) = self.ends.join_next(), if !self.ends.is_empty() => match ended {
                    Ok((key, ended)) => self.shim_ended(key, ended),
                    Err(error) => tracing::error!(%error, "a task that awaits a shim failed"),
                },
                Some(outcome) = self.effects.join_next(), if !self.effects.is_empty() => {
                    match outcome {
                        Ok(Outcome::Step(id, done)) => self.step_done(&id, done),
                        Ok(Outcome::Repository(key, done)) => {
                            self.repository_done(key, *done);
                            // The effect may have freed space that the queue waits for.
                            if self.scheduler.waits_for_space() && self.checks.is_empty() {
                                self.look_for_space();
                            }
                        }
                        Err(error) => tracing::error!(%error, "a task that awaits an effect failed"),
                    }
                }
                Some(Ok(ended)) = self.pauses.join_next(), if !self.pauses.is_empty() => {
                    self.pause_ended(ended);
                }
                Some(Ok((key, attempt))) = self.slow.join_next(), if !self.slow.is_empty() => {
                    self.is_slow(key, attempt);
                }
                Some(Ok(discards)) = self.discards.join_next(), if !self.discards.is_empty() => {
                    self.discarded(discards);
                }
                Some(Ok(checked)) = self.checks.join_next(), if !self.checks.is_empty() => {
                    self.checked(checked);
                }
                command = inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                _ = folders.tick(), if self.checks.is_empty() => self.look_for_folders(),
                _ = space.tick(), if self.scheduler.waits_for_space() && self.checks.is_empty() => {
                    self.look_for_space();
                }
                () = sleep_until(self.flush_at.unwrap_or_else(Instant::now)),
                    if self.flush_at.is_some() => self.flush(),
                () = sleep_until(stop_at.unwrap_or_else(Instant::now)), if stop_at.is_some() => {
                    tracing::warn!(
                        scanners = self.phases.len(),
                        "stop grace period expired; the server exits, scanners that still run stop on their own"
                    );
                    return;
                }
            }
            let (running, queued) = (self.scheduler.running(), self.scheduler.queued());
            self.handle.note_load(running, queued);
            if self.has_stopped() {
                return;
            }
        }
    }

    /// Whether a requested stop is complete; if so, answers it.
    fn has_stopped(&mut self) -> bool {
        if !self.phases.is_empty() || !self.effects.is_empty() {
            return false;
        }
        let Some(stop) = &mut self.stop else { return false };
        if !std::mem::replace(&mut stop.flushed, true) {
            self.flush();
            if !self.effects.is_empty() {
                return false;
            }
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.answer.send(());
        }
        true
    }

    pub(super) fn handle(&mut self, command: Command) {
        let Some(command) = self.steps.defer(command) else { return };
        match command {
            Command::Create { job, answer } => self.create(job, answer),
            // The job may have been reopened or removed since it was read.
            Command::Resume(job)
                if self.jobs.contains_key(&job.id) || self.steps.is_leaving(&job.id) => {}
            Command::Resume(job) => self.resume(*job),
            Command::Listed { id, count } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_being_listed()) {
                    job.note_found(count);
                    self.flush_soon();
                }
            }
            Command::Waiting { id, reason } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_being_listed()) {
                    job.note_waiting_for(reason);
                    self.flush_soon();
                }
            }
            Command::Planned { id, planned, answer } => self.listed(&id, planned, answer),
            Command::Retry { id, answer } => self.retry(&id, answer),
            Command::Cancel { id, answer } => self.cancel(&id, answer),
            Command::Remove { id, answer } => self.remove(&id, answer),
            Command::Stop { patience, answer } => {
                self.stop = Some(Stop { at: Instant::now() + patience, answer, flushed: false });
                self.on(Event::StopAsked);
            }
        }
    }

    /// Continues a job that was found at start or reopened.
    pub(super) fn resume(&mut self, found: RecoveredJob) {
        let RecoveredJob { id, master, plan, repositories } = found;
        let permit = self.handle.reserve();
        let mut job = Job::new(NewJob { id: id.clone(), master, plan, permit });
        let (mut queued, mut running) = (Vec::new(), Vec::new());
        let (mut adopted, mut refused, mut paused) = (Vec::new(), Vec::new(), Vec::new());
        for (index, found) in repositories {
            match found {
                Disposition::Finished(status) => job.note_finished(index, &status),
                Disposition::Running(living) => {
                    running.push(index);
                    adopted.push((index, living));
                }
                Disposition::Queued(next) => {
                    job.expect_attempt(index, next);
                    if next.pause.is_zero() {
                        queued.push(index);
                    } else {
                        paused.push((index, next));
                    }
                }
                Disposition::WillRetry { cause, next, .. } => {
                    self.note_retry(&RepoKey { job: id.clone(), index }, cause, next);
                    job.expect_attempt(index, next);
                    paused.push((index, next));
                }
                Disposition::Refused(reason) => refused.push((index, reason)),
            }
        }
        let (n_adopted, n_queued, n_paused) = (adopted.len(), queued.len(), paused.len());
        tracing::info!(%id, adopted = n_adopted, queued = n_queued, paused = n_paused, "found an unfinished job");
        let cancelled = job.is_cancelled();
        self.jobs.insert(id.clone(), job);
        let planning = self.begin_planning(&id);
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        for (index, living) in adopted {
            let key = RepoKey { job: id.clone(), index };
            let (shim, awaited) = Shim::adopt(living);
            self.watch(key, shim, awaited);
        }
        for (index, next) in &paused {
            self.time_pause(&RepoKey { job: id.clone(), index: *index }, *next);
        }
        let paused = paused.into_iter().map(|(index, _)| index).collect();
        // A cancel recorded in master.json may not have been carried out completely.
        let standing = Standing { queued, running, paused, ending, cancelled, planning };
        self.on(Event::Submitted(id, standing));
    }

    /// Passes an event to the scheduler and carries out the effects that it returns.
    pub(super) fn on(&mut self, event: Event) {
        let mut effects: VecDeque<Effect> = self.scheduler.on(event).into();
        while let Some(effect) = effects.pop_front() {
            effects.extend(self.perform(effect));
        }
        if self.jobs.values().any(|job| job.dirty) {
            self.flush_soon();
        }
    }

    pub(super) fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + MASTER_INTERVAL);
    }

    fn perform(&mut self, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::Spawn(key) => return self.start(key),
            Effect::End(key, reason) => self.order(&key, reason),
            Effect::Discard(id, indices) => self.discard(id, indices),
            Effect::StopPlanning(id) => {
                if let Some(stop) = self.jobs.get_mut(&id).and_then(|job| job.planning.take()) {
                    stop.cancel();
                }
            }
            Effect::Finish(id) => self.finish(&id),
        }
        Vec::new()
    }

    fn finish(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.finish(Utc::now());
        job.finished = true;
        let status = job.master.status.clone();
        tracing::info!(%id, status, "job finished");
        if self.steps.is_leaving(id) {
            self.jobs.remove(id);
            self.remove_if_idle(id);
        } else {
            self.write_master(id);
        }
    }

    /// Finds jobs that have lost their folders. Checks only while the original jobs folder is in
    /// place: one that is unmounted or moved may come back with everything in it.
    fn look_for_folders(&mut self) {
        let (jobs, space) = (self.setup.jobs.clone(), Arc::clone(&self.setup.space));
        let ids: Vec<JobId> = self.jobs.keys().cloned().collect();
        let look = self.pools.of(Purpose::Checks).run(move || {
            // Logs a change of the disk's state even when nobody submits jobs.
            space.obstacle();
            let here = space.is_here();
            ids.into_iter().filter(|id| here && is_missing_folder(jobs.job(id).path())).collect()
        });
        self.checks.spawn(async move { Checked::Folders(look.await.unwrap_or_default()) });
    }

    /// Checks whether the disk accepts writes again.
    fn look_for_space(&mut self) {
        let space = Arc::clone(&self.setup.space);
        let look = self.pools.of(Purpose::Checks).run(move || space.obstacle_to_scan().is_none());
        self.checks.spawn(async move { Checked::Space(look.await.unwrap_or(false)) });
    }

    fn checked(&mut self, checked: Checked) {
        match checked {
            Checked::Space(true) => self.on(Event::SpaceAgain),
            Checked::Space(false) => {}
            Checked::Folders(missing) => {
                // A folder counts as gone when two checks in a row miss it.
                let gone: Vec<JobId> = missing.intersection(&self.missing).cloned().collect();
                self.missing = missing;
                for id in gone {
                    tracing::error!(%id, "the job's folder is gone; its scans are stopped and the job is dropped");
                    self.vanish(&id);
                    // Its shims may still be exiting; they have no files left to write.
                    self.jobs.remove(&id);
                    self.remove_if_idle(&id);
                }
            }
        }
    }

    /// Writes the master files that are out of date.
    fn flush(&mut self) {
        self.flush_at = None;
        let dirty: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| job.dirty).map(|(id, _)| id.clone()).collect();
        for id in dirty {
            self.write_master(&id);
        }
    }
}
