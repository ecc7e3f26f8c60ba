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
//!
//! This file takes the events; what follows from them is in `jobs` (commands and the steps of a
//! job), `turns` (pause, resume, bump), `planning`, `scans` (repositories that hold a slot) and
//! `unstarted` (those that never get one).

mod jobs;
mod limits;
mod planning;
mod removal;
mod scans;
mod turns;
mod unstarted;

use super::{
    RepoKey, Setup,
    agents::Capacity,
    command::Command,
    discards::Discards,
    disk_checks::{Checked, DiskChecks},
    effects::{Effects, Outcome},
    engine::{Agents, Engine, local::Local},
    job::{Job, Planning, RecoveredJob},
    job_steps::JobSteps,
    limits::{LimitSource, Limits},
    load::Load,
    pools::{Pools, Purpose},
    scan_metrics::ScanMetrics,
    scheduler::{Effect, Event, Scheduler},
    shim_exit::ShimExit,
    slots::Slots,
    timers::{Elapsed, Timers},
};
use crate::{model::JobId, sys::pressure::Pressure};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, sleep_until},
};

/// The minimum time between two writes of a job's `master.json` while only its lists change.
const MASTER_INTERVAL: Duration = Duration::from_secs(1);
/// How often the loop checks that the jobs' folders still exist.
const FOLDER_INTERVAL: Duration = Duration::from_secs(2);
/// How often the loop checks whether the disk accepts writes while the queue waits for space.
const SPACE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the pressure on this machine is read.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(2);

/// The state of the loop.
pub(super) struct Actor {
    setup: Setup,
    engine: Engine,
    /// How many scans the agents can run, if agents run them.
    capacity: Option<watch::Receiver<Capacity>>,
    /// The ceiling that a request has set, if agents run the scans.
    requested_ceiling: Option<usize>,
    scheduler: Scheduler,
    jobs: HashMap<JobId, Job>,
    slots: Slots,
    steps: JobSteps,
    /// A stop waits for these.
    effects: Effects,
    exits: JoinSet<(RepoKey, ShimExit)>,
    timers: Timers,
    /// Writes of final states for repositories that were not started.
    discards: JoinSet<Discards>,
    checks: DiskChecks,
    limits: Limits,
    /// The reading of the pressure that runs.
    samples: JoinSet<Pressure>,
    planner: mpsc::UnboundedSender<Planning>,
    stop: Option<Stop>,
    flush_at: Option<Instant>,
    load: Arc<Load>,
    scan_metrics: Arc<ScanMetrics>,
}

/// A requested stop.
struct Stop {
    /// The stop waits no longer than this.
    at: Instant,
    answer: oneshot::Sender<()>,
    /// The final writes of the jobs' lists have been started.
    flushed: bool,
}

impl Actor {
    /// An actor without jobs.
    pub(super) fn new(
        setup: Setup,
        agents: Agents,
        planner: mpsc::UnboundedSender<Planning>,
        (load, scan_metrics): (Arc<Load>, Arc<ScanMetrics>),
    ) -> Self {
        let config = setup.config.get();
        let scanner = &config.scanner;
        let pools = Pools::new();
        let local = Local::new(setup.clone(), Arc::clone(scan_metrics.stopped_shims()));
        let engine = Engine::new(local, agents);
        // The pressure on this machine does not affect the agents.
        let is_adaptive = scanner.adaptive_concurrency && !engine.is_remote();
        let limits = Limits::new(scanner.max_concurrent_processes, is_adaptive);
        Self {
            capacity: engine.capacity(),
            requested_ceiling: None,
            engine,
            scheduler: Scheduler::new(limits.ceiling()),
            jobs: HashMap::new(),
            slots: Slots::default(),
            steps: JobSteps::default(),
            checks: DiskChecks::new(setup.clone(), pools.of(Purpose::Checks).clone()),
            effects: Effects::new(pools),
            exits: JoinSet::new(),
            timers: Timers::default(),
            discards: JoinSet::new(),
            limits,
            samples: JoinSet::new(),
            planner,
            stop: None,
            flush_at: None,
            load,
            scan_metrics,
            setup,
        }
    }

    /// Runs until a stop is complete.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        recovered: Vec<RecoveredJob>,
    ) {
        self.take_weights();
        self.take_capacity();
        self.on(Event::RecoveryBegun);
        for job in recovered {
            self.resume(job);
        }
        self.on(Event::RecoveryDone);
        let mut folders = tokio::time::interval(FOLDER_INTERVAL);
        folders.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut space = tokio::time::interval(SPACE_INTERVAL);
        space.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples = tokio::time::interval(SAMPLE_INTERVAL);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stop_at = self.stop.as_ref().map(|stop| stop.at);
            tokio::select! {
                Some(exit) = self.exits.join_next(), if !self.exits.is_empty() => match exit {
                    Ok((key, ended)) => self.attempt_ended(key, ended),
                    Err(error) => tracing::error!(%error, "a task that awaits an attempt failed"),
                },
                Some(outcome) = self.effects.next(), if !self.effects.is_empty() => match outcome {
                    Ok(outcome) => self.effect_done(outcome),
                    Err(error) => tracing::error!(%error, "a task that awaits an effect failed"),
                },
                Some(elapsed) = self.timers.next() => match elapsed {
                    Elapsed::Pause(key, attempt) => self.pause_ended(key, attempt),
                    Elapsed::Slow(key, attempt) => self.is_slow(key, attempt),
                    Elapsed::HostPause => self.host_pause_ended(),
                },
                Some(Ok(discards)) = self.discards.join_next(), if !self.discards.is_empty() => {
                    self.discarded(discards);
                }
                Some(checked) = self.checks.next(), if !self.checks.is_idle() => {
                    self.checked(checked);
                }
                command = inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                _ = folders.tick(), if self.checks.is_idle() => {
                    self.checks.look_for_folders(self.jobs.keys().cloned().collect());
                }
                () = changed(self.capacity.as_mut()) => self.take_capacity(),
                _ = samples.tick() => self.sample(),
                Some(Ok(pressure)) = self.samples.join_next(), if !self.samples.is_empty() => {
                    self.sampled(&pressure);
                }
                _ = space.tick(), if self.scheduler.waits_for_space() && self.checks.is_idle() => {
                    self.checks.look_for_space();
                }
                () = sleep_until(self.flush_at.unwrap_or_else(Instant::now)),
                    if self.flush_at.is_some() => self.flush(),
                () = sleep_until(stop_at.unwrap_or_else(Instant::now)), if stop_at.is_some() => {
                    tracing::warn!(
                        scanners = self.slots.used(),
                        "stop grace period expired; the server exits, scanners that still run stop on their own"
                    );
                    return;
                }
            }
            let (running, queued) = (self.scheduler.running(), self.scheduler.queued());
            self.load.note(running, queued);
            self.publish_limits();
            if self.has_stopped() {
                return;
            }
        }
    }

    /// Whether a requested stop is complete; if so, answers it.
    fn has_stopped(&mut self) -> bool {
        if self.slots.used() > 0 || !self.effects.is_empty() {
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

    /// Takes in the outcome of an effect.
    fn effect_done(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Step(id, done) => self.step_done(&id, done),
            Outcome::Repository(key, done) => {
                self.repository_done(key, *done);
                // The effect may have freed space that the queue waits for.
                if self.scheduler.waits_for_space() && self.checks.is_idle() {
                    self.checks.look_for_space();
                }
            }
        }
    }

    /// Takes in a command.
    fn handle(&mut self, command: Command) {
        let Some(command) = self.steps.defer(command) else { return };
        match command {
            Command::Create { job, answer } => self.create(job, answer),
            // The job may have been reopened or removed since it was read.
            Command::Resume(job)
                if self.jobs.contains_key(&job.id) || self.steps.is_leaving(&job.id) => {}
            Command::Resume(job) => self.resume(*job),
            Command::Waiting { id, reason } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_being_listed()) {
                    job.note_waiting_for(reason);
                    self.flush_soon();
                }
            }
            Command::Planned { id, planned, answer } => self.listed(&id, planned, answer),
            Command::Retry { id, cause, answer } => self.retry(&id, cause, answer),
            Command::Cancel { id, answer } => self.cancel(&id, answer),
            Command::Turn { id, request, answer } => self.change_turn(&id, request, answer),
            Command::Remove { id, archive, answer } => self.remove(&id, archive, answer),
            Command::Reloaded => {
                let config = self.setup.config.get();
                self.load.resize(config.jobs.max_queued_jobs);
                self.take_weights();
                let is_adaptive = config.scanner.adaptive_concurrency && !self.engine.is_remote();
                self.limits.set_adaptive(is_adaptive);
                self.requested_ceiling = None;
                if self.engine.is_remote() {
                    self.take_capacity();
                } else {
                    let ceiling = config.scanner.max_concurrent_processes;
                    self.set_ceiling(ceiling, LimitSource::Settings);
                }
            }
            Command::Ceiling { ceiling, answer } => {
                self.requested_ceiling = Some(ceiling);
                let limits = if self.engine.is_remote() {
                    self.take_capacity();
                    self.publish_limits()
                } else {
                    self.set_ceiling(ceiling, LimitSource::Request)
                };
                let _ = answer.send(limits);
            }
            Command::Stop { patience, answer } => {
                self.stop = Some(Stop { at: Instant::now() + patience, answer, flushed: false });
                self.on(Event::StopAsked);
            }
        }
    }

    /// Passes an event to the scheduler and carries out the effects that it returns.
    fn on(&mut self, event: Event) {
        let mut effects: VecDeque<Effect> = self.scheduler.on(event).into();
        while let Some(effect) = effects.pop_front() {
            effects.extend(self.perform(effect));
        }
        if self.jobs.values().any(|job| job.dirty) {
            self.flush_soon();
        }
    }

    fn flush_soon(&mut self) {
        self.flush_at.get_or_insert_with(|| Instant::now() + MASTER_INTERVAL);
    }

    fn perform(&mut self, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::Spawn(key) => return self.start(key),
            Effect::End(key, reason) => self.order(&key, reason),
            Effect::NoteSame { waiting, running } => self.note_same(waiting, &running),
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

    fn checked(&mut self, checked: Checked) {
        match checked {
            Checked::Space(true) => self.on(Event::SpaceAgain),
            Checked::Space(false) => {}
            Checked::Folders(missing) => {
                for id in self.checks.gone(missing) {
                    tracing::error!(job = %id, "the job's folder is gone; its scans are stopped and the job is dropped");
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

/// Returns when the capacity of the agents has changed; never without agents.
async fn changed(capacity: Option<&mut watch::Receiver<Capacity>>) {
    if let Some(capacity) = capacity
        && capacity.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests;
