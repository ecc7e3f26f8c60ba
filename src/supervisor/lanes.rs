//! What changes a job as a whole, one step after the other for each job: its creation, its plan,
//! `master.json`, its reopening, its removal.
//!
//! Input: steps, and their outcomes. Output: files, answers, events for the scheduler.
//!
//! Invariants: the steps of one job are carried out in their order, those of different jobs beside
//! each other, none of them by the loop; a step takes what it writes from the job as it is when the step
//! begins; a step's outcome always comes back, a panic included; while a job is created or reopened, its
//! commands wait until that is done.

use super::{
    Setup,
    actor::{Actor, Outcome},
    handle::{Cancelled, Command, CreateError, Retried},
    job::NewJob,
    pools::Purpose,
    revival::{self, Revival},
};
use crate::{
    model::{JobId, master::ScanType, plan::Plan},
    store::{StoreError, atomic::Durability, trash},
};
use chrono::Utc;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

/// Whoever waits for a job's files to be removed.
pub(super) type RemovalAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type PlanAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type CreateAnswer = oneshot::Sender<Result<(), CreateError>>;

/// The steps of all jobs that have any.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pub(super) by_job: HashMap<JobId, Lane>,
    /// Jobs that are being created or reopened, and the commands that wait for that.
    pub(super) opening: HashMap<JobId, Vec<Command>>,
    pub(super) removals: HashMap<JobId, Removal>,
    /// Effects of a job's repositories that are being carried out.
    pub(super) in_flight: HashMap<JobId, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) busy: bool,
    waiting: VecDeque<Step>,
}

/// A job whose files are removed once nothing of it runs or is written.
#[derive(Debug, Default)]
pub(super) struct Removal {
    pub(super) answers: Vec<RemovalAnswer>,
    pub(super) begun: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    Create(Box<NewJob>, CreateAnswer),
    Reopen(oneshot::Sender<Retried>),
    Plan(ScanType, Plan, PlanAnswer),
    /// Writes `master.json`.
    Master(Vec<After>),
    Remove,
}

/// What follows once `master.json` has been written, or has been refused by the disk.
#[derive(Debug)]
pub(super) enum After {
    Cancel(oneshot::Sender<Cancelled>),
    Vanish,
}

/// The outcome of a step.
#[derive(Debug)]
pub(super) enum Done {
    Created(CreateAnswer, Result<Box<NewJob>, CreateError>),
    Reopened(oneshot::Sender<Retried>, Result<Revival, StoreError>),
    Planned(ScanType, PlanAnswer, Result<Plan, StoreError>),
    /// A plan came after its job was cancelled or removed.
    Unwanted(PlanAnswer),
    Wrote {
        after: Vec<After>,
        written: Result<(), StoreError>,
        /// What was written is the job's final state.
        over: bool,
    },
    Removed(Result<(), StoreError>),
}

impl Lanes {
    /// Notes an effect of one of the job's repositories, which has to end before its files go.
    pub(super) fn begin_effect(&mut self, id: &JobId) {
        *self.in_flight.entry(id.clone()).or_default() += 1;
    }

    pub(super) fn end_effect(&mut self, id: &JobId) {
        if let Some(count) = self.in_flight.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(id);
            }
        }
    }

    /// Keeps a command that must wait for the job to be created or reopened; gives any other back.
    pub(super) fn defer(&mut self, command: Command) -> Option<Command> {
        match command.job().and_then(|id| self.opening.get_mut(id)) {
            Some(waiting) => {
                waiting.push(command);
                None
            }
            None => Some(command),
        }
    }

    pub(super) fn is_leaving(&self, id: &JobId) -> bool {
        self.removals.contains_key(id)
    }
}

impl Actor {
    pub(super) fn push(&mut self, id: &JobId, step: Step) {
        let lane = self.lanes.by_job.entry(id.clone()).or_default();
        match (lane.waiting.back_mut(), step) {
            // The one that waits will write what is to be written.
            (Some(Step::Master(waiting)), Step::Master(after)) => waiting.extend(after),
            (_, step) => lane.waiting.push_back(step),
        }
        if !lane.busy {
            self.next_step(id);
        }
    }

    pub(super) fn next_step(&mut self, id: &JobId) {
        let Some(lane) = self.lanes.by_job.get_mut(id) else { return };
        if let Some(step) = lane.waiting.pop_front() {
            lane.busy = true;
            self.begin(id.clone(), step);
        } else {
            self.lanes.by_job.remove(id);
            self.remove_if_idle(id);
        }
    }

    fn begin(&mut self, id: JobId, step: Step) {
        match step {
            Step::Create(job, answer) => {
                let setup = self.setup.clone();
                self.carry_out(
                    id,
                    Purpose::Files,
                    move || create(&setup, job),
                    |created| Done::Created(answer, created),
                );
            }
            Step::Reopen(answer) => {
                let (setup, wanted) = (self.setup.clone(), id.clone());
                let work = move || revival::revive(&setup, &wanted);
                self.carry_out(id, Purpose::Reopens, work, |it| Done::Reopened(answer, it));
            }
            Step::Plan(kind, plan, answer) => {
                let Some(job) = self.jobs.get(&id).filter(|job| job.planning.is_some()) else {
                    // Nobody wants it any more.
                    return self.step_done(&id, Done::Unwanted(answer));
                };
                let mut master = job.master.clone();
                master.scan_type = Some(kind);
                let folder = self.setup.jobs.job(&id);
                let work = move || {
                    // A crash between the two leaves an incomplete plan: it is listed again.
                    folder.write_master(&master, Durability::Flushed)?;
                    folder.write_plan(&plan)?;
                    Ok(plan)
                };
                self.carry_out(id, Purpose::Files, work, move |it| Done::Planned(kind, answer, it));
            }
            Step::Master(after) => {
                let Some(job) = self.jobs.get_mut(&id) else {
                    let done = Done::Wrote { after, written: Ok(()), over: false };
                    return self.step_done(&id, done);
                };
                job.update_lists(Utc::now());
                // What a client may rely on is flushed: creation, cancel, final state. The lists need
                // not be the newest after a power cut, but whole: without this file nobody would
                // know what is to be scanned.
                let durable = job.master.final_state().is_some();
                let durability = if durable { Durability::Flushed } else { Durability::Content };
                let (master, over) = (job.master.clone(), job.over);
                let folder = self.setup.jobs.job(&id);
                let work = move || folder.write_master(&master, durability);
                self.carry_out(id, Purpose::Files, work, move |written| Done::Wrote {
                    after,
                    written,
                    over,
                });
            }
            Step::Remove => {
                let (jobs, wanted) = (self.setup.jobs.clone(), id.clone());
                let work = move || trash::remove_job(&jobs, &wanted);
                self.carry_out(id, Purpose::Removals, work, Done::Removed);
            }
        }
    }

    /// Carries out a step of a job beside the loop. What it panics with is its error.
    fn carry_out<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &mut self,
        id: JobId,
        purpose: Purpose,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
        done: impl FnOnce(Result<T, E>) -> Done + Send + 'static,
    ) {
        let work = self.pools.of(purpose).run(work);
        let path = self.setup.jobs.job(&id).path().to_owned();
        self.effects.spawn(async move {
            let outcome = work.await.unwrap_or_else(|panic| {
                Err(StoreError::at("work with", &path)(panic.into()).into())
            });
            Outcome::Step(id, done(outcome))
        });
    }
}

/// Makes the folder of a new job, durable, where the disk has room for one.
fn create(setup: &Setup, job: Box<NewJob>) -> Result<Box<NewJob>, CreateError> {
    if let Some(obstacle) = setup.space.obstacle() {
        return Err(CreateError::NoPlace(obstacle));
    }
    let mode = setup.config.jobs.folder_mode;
    let created = setup.jobs.create_job(&job.id, mode, &job.master, &job.plan);
    if created.is_err() {
        setup.space.suspect();
    }
    created?;
    Ok(job)
}
