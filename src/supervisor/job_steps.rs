//! The steps that change a job as a whole, in order for each job: creation, plan, `master.json`,
//! reopening, removal.
//!
//! Input: steps, and their outcomes. Output: files, answers, events for the scheduler.
//!
//! Invariants: the steps of one job run in order, those of different jobs concurrently, none on the
//! loop; a step writes the job's state as of the start of the step; a step always reports an
//! outcome, even after a panic; commands for a job that is being created or reopened wait until
//! that is done.

use super::{
    Setup,
    actor::{Actor, Outcome},
    handle::{Cancelled, Command, CreateError, Retried},
    job::NewJob,
    pools::Purpose,
    reopen::{self, ReopenOutcome},
};
use crate::{
    model::{JobId, master::ScanType, plan::Plan},
    store::{StoreError, atomic::Durability, trash},
};
use chrono::Utc;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

/// Answers a caller that waits for the removal of a job's files.
pub(super) type RemovalAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type PlanAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type CreateAnswer = oneshot::Sender<Result<(), CreateError>>;

/// The pending steps of all jobs.
#[derive(Debug, Default)]
pub(super) struct JobSteps {
    pub(super) by_job: HashMap<JobId, Lane>,
    /// Jobs that are being created or reopened, with the commands that wait for that.
    pub(super) opening: HashMap<JobId, Vec<Command>>,
    pub(super) removals: HashMap<JobId, Removal>,
    /// The number of running effects on each job's repositories.
    pub(super) in_flight: HashMap<JobId, usize>,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) busy: bool,
    waiting: VecDeque<Step>,
}

/// A job whose files are removed once nothing of it runs or is being written.
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

/// What follows once `master.json` has been written or the disk has refused the write.
#[derive(Debug)]
pub(super) enum After {
    Cancel(oneshot::Sender<Cancelled>),
    Vanish,
}

/// The outcome of a step.
#[derive(Debug)]
pub(super) enum Done {
    Created(CreateAnswer, Result<Box<NewJob>, CreateError>),
    Reopened(oneshot::Sender<Retried>, Result<ReopenOutcome, StoreError>),
    Planned(ScanType, PlanAnswer, Result<Plan, StoreError>),
    /// A plan arrived after its job was cancelled or removed.
    Unwanted(PlanAnswer),
    Wrote {
        after: Vec<After>,
        written: Result<(), StoreError>,
        /// Whether the written state is the job's final state.
        finished: bool,
    },
    Removed(Result<(), StoreError>),
}

impl JobSteps {
    /// Registers an effect on one of the job's repositories; the job's files stay until it ends.
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

    /// Defers a command for a job that is being created or reopened; returns any other command.
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
        let lane = self.steps.by_job.entry(id.clone()).or_default();
        match (lane.waiting.back_mut(), step) {
            // The write that already waits includes this change.
            (Some(Step::Master(waiting)), Step::Master(after)) => waiting.extend(after),
            (_, step) => lane.waiting.push_back(step),
        }
        if !lane.busy {
            self.next_step(id);
        }
    }

    pub(super) fn next_step(&mut self, id: &JobId) {
        let Some(lane) = self.steps.by_job.get_mut(id) else { return };
        if let Some(step) = lane.waiting.pop_front() {
            lane.busy = true;
            self.begin(id.clone(), step);
        } else {
            self.steps.by_job.remove(id);
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
                let work = move || reopen::reopen(&setup, &wanted);
                self.carry_out(id, Purpose::Reopens, work, |reopened| {
                    Done::Reopened(answer, reopened)
                });
            }
            Step::Plan(kind, plan, answer) => {
                let Some(job) = self.jobs.get(&id).filter(|job| job.planning.is_some()) else {
                    // The plan is no longer needed.
                    return self.step_done(&id, Done::Unwanted(answer));
                };
                let mut master = job.master.clone();
                master.scan_type = Some(kind);
                let folder = self.setup.jobs.job(&id);
                let work = move || {
                    // After a crash between the two writes the plan is incomplete, and the
                    // repositories are listed again.
                    folder.write_master(&master, Durability::Flushed)?;
                    folder.write_plan(&plan)?;
                    Ok(plan)
                };
                let done = move |planned| Done::Planned(kind, answer, planned);
                self.carry_out(id, Purpose::Files, work, done);
            }
            Step::Master(after) => {
                let Some(job) = self.jobs.get_mut(&id) else {
                    let done = Done::Wrote { after, written: Ok(()), finished: false };
                    return self.step_done(&id, done);
                };
                job.update_lists(Utc::now());
                // Everything that a client may rely on is fsynced: creation, cancel, final state.
                // The lists may be slightly stale after a power cut but must be complete: without
                // this file nobody knows what is to be scanned.
                let durable = job.master.final_state().is_some();
                let durability = if durable { Durability::Flushed } else { Durability::Content };
                let (master, finished) = (job.master.clone(), job.finished);
                let folder = self.setup.jobs.job(&id);
                let work = move || folder.write_master(&master, durability);
                self.carry_out(id, Purpose::Files, work, move |written| Done::Wrote {
                    after,
                    written,
                    finished,
                });
            }
            Step::Remove => {
                let (jobs, wanted) = (self.setup.jobs.clone(), id.clone());
                let work = move || trash::remove_job(&jobs, &wanted);
                self.carry_out(id, Purpose::Removals, work, Done::Removed);
            }
        }
    }

    /// Runs a step of a job beside the loop. A panic becomes the step's error.
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

/// Creates the folder of a new job durably, if the disk has room.
fn create(setup: &Setup, job: Box<NewJob>) -> Result<Box<NewJob>, CreateError> {
    if let Some(obstacle) = setup.space.obstacle() {
        return Err(CreateError::NoSpace(obstacle));
    }
    let mode = setup.config.jobs.folder_mode;
    let created = setup.jobs.create_job(&job.id, mode, &job.master, &job.plan);
    if created.is_err() {
        setup.space.suspect();
    }
    created?;
    Ok(job)
}
