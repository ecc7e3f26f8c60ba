//! The steps that change a job as a whole, in order for each job: creation, plan, `master.json`,
//! reopening, removal.
//!
//! Input: steps, and their ends. Output: the steps to begin, and the work of each.
//!
//! Invariants: the steps of one job run in order, those of different jobs concurrently; commands
//! for a job that is being created or reopened wait until that is done; a job's files are removed
//! only when nothing of the job runs or is being written.

use super::{
    Setup,
    command::{Cancelled, Command, CreateError, Retried, TurnChanged},
    job::{NewJob, Planned},
    reopen::ReopenOutcome,
};
use crate::{
    model::{FailureKind, JobId, master::Master},
    store::{
        StoreError, archive::ArchiveHeader, atomic::Durability, chain, layout::JobDir, listing,
    },
};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Answers a caller that waits for the removal of a job's files.
pub(super) type RemovalAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type PlanAnswer = oneshot::Sender<Result<(), StoreError>>;
pub(super) type CreateAnswer = oneshot::Sender<Result<(), CreateError>>;

/// The pending steps of all jobs.
#[derive(Debug, Default)]
pub(super) struct JobSteps {
    by_job: HashMap<JobId, Lane>,
    /// Jobs that are being created or reopened, with the commands that wait for that.
    opening: HashMap<JobId, Vec<Command>>,
    removals: HashMap<JobId, Removal>,
    /// The number of running effects on each job's repositories.
    in_flight: HashMap<JobId, usize>,
}

#[derive(Debug, Default)]
struct Lane {
    busy: bool,
    waiting: VecDeque<Step>,
}

/// A job whose files are removed once nothing of it runs or is being written.
#[derive(Debug, Default)]
struct Removal {
    answers: Vec<RemovalAnswer>,
    /// The job is archived first.
    archive: Option<Box<ArchiveHeader>>,
    /// It was requested to remove everything.
    delete: bool,
    begun: Option<Begun>,
}

/// What the running step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Archiving,
    Removing,
}

#[derive(Debug)]
pub(super) enum Step {
    Create(Box<NewJob>, CreateAnswer),
    /// Of one cause only, or of all.
    Reopen(Option<FailureKind>, oneshot::Sender<Retried>),
    /// Stores a part of the plan.
    Plan(Planned, PlanAnswer),
    /// Writes `master.json`.
    Master(Vec<After>),
    /// Archives the job, and removes its files.
    Archive(Box<ArchiveHeader>),
    /// Removes everything of the job.
    Remove,
}

/// What follows once `master.json` has been written or the disk has refused the write.
#[derive(Debug)]
pub(super) enum After {
    Cancel(oneshot::Sender<Cancelled>),
    /// The turns of the job change as master.json has them.
    Turn(oneshot::Sender<TurnChanged>),
    Vanish,
    /// A retry of a job whose final state is being written.
    Retry(Option<FailureKind>, oneshot::Sender<Retried>),
}

/// The outcome of a step.
#[derive(Debug)]
pub(super) enum Done {
    Created(CreateAnswer, Result<Box<NewJob>, CreateError>),
    Reopened(oneshot::Sender<Retried>, Result<ReopenOutcome, StoreError>),
    Planned(PlanAnswer, Result<StoredPart, StoreError>),
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
    /// Adds a step. Returns the step that begins now, if any.
    pub(super) fn push(&mut self, id: &JobId, step: Step) -> Option<Step> {
        let lane = self.by_job.entry(id.clone()).or_default();
        match (lane.waiting.back_mut(), step) {
            // The write that already waits includes this change.
            (Some(Step::Master(waiting)), Step::Master(after)) => waiting.extend(after),
            (_, step) => lane.waiting.push_back(step),
        }
        if lane.busy { None } else { self.next(id) }
    }

    /// No step of the job runs any more. Returns the step that begins now, if any.
    pub(super) fn next(&mut self, id: &JobId) -> Option<Step> {
        let lane = self.by_job.get_mut(id)?;
        let step = lane.waiting.pop_front();
        if step.is_some() {
            lane.busy = true;
        } else {
            self.by_job.remove(id);
        }
        step
    }

    /// The job is being created or reopened.
    pub(super) fn open(&mut self, id: &JobId) {
        self.opening.insert(id.clone(), Vec::new());
    }

    /// The job has been created or reopened. Returns the commands that waited for that.
    pub(super) fn end_open(&mut self, id: &JobId) -> Vec<Command> {
        self.opening.remove(id).unwrap_or_default()
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

    /// The job's files are to be removed, and before that archived, unless everything of the job is to be removed.
    pub(super) fn request_removal(
        &mut self,
        id: &JobId,
        archive: Option<Box<ArchiveHeader>>,
        answer: RemovalAnswer,
    ) {
        let removal = self.removals.entry(id.clone()).or_default();
        removal.answers.push(answer);
        removal.delete |= archive.is_none();
        removal.archive = archive.filter(|_| !removal.delete);
    }

    /// Whether the job's files are to be removed, or are being removed.
    pub(super) fn is_leaving(&self, id: &JobId) -> bool {
        self.removals.contains_key(id)
    }

    /// Whether the job was archived, and everything of it is to be removed since.
    pub(super) fn is_to_be_deleted(&mut self, id: &JobId) -> bool {
        let Some(removal) = self.removals.get_mut(id) else { return false };
        let is_again = removal.delete && removal.begun == Some(Begun::Archiving);
        if is_again {
            removal.begun = None;
        }
        is_again
    }

    /// The removal of the job's files, if it begins now: it was requested, and no step and no
    /// effect of the job runs. Returns the step once.
    pub(super) fn begin_removal(&mut self, id: &JobId) -> Option<Step> {
        let busy = self.by_job.contains_key(id) || self.in_flight.contains_key(id);
        let removal = self.removals.get_mut(id).filter(|one| !busy && one.begun.is_none())?;
        let archive = removal.archive.take();
        removal.begun = Some(if archive.is_some() { Begun::Archiving } else { Begun::Removing });
        Some(archive.map_or(Step::Remove, Step::Archive))
    }

    /// The removal of the job's files has ended. Returns the callers that wait for that.
    pub(super) fn end_removal(&mut self, id: &JobId) -> Vec<RemovalAnswer> {
        self.removals.remove(id).map(|removal| removal.answers).unwrap_or_default()
    }
}

/// Creates the folder of a new job durably, if the disk has room.
pub(super) fn create(setup: &Setup, job: Box<NewJob>) -> Result<Box<NewJob>, CreateError> {
    if let Some(obstacle) = setup.space.obstacle() {
        return Err(CreateError::NoSpace(obstacle));
    }
    let mode = setup.config.get().jobs.folder_mode;
    let created = setup.jobs.create_job(&job.id, mode, &job.master, &job.plan);
    if created.is_err() {
        setup.space.suspect();
    }
    created?;
    Ok(job)
}

/// A job a part of whose plan is stored.
#[derive(Debug)]
pub(super) struct PlanToStore {
    pub(super) folder: JobDir,
    /// `master.json`, if it does not say yet what kind of scan the job is.
    pub(super) master: Option<Master>,
    /// Whether `repositories.json` is written, which takes longer the more pages there are.
    pub(super) publish: bool,
}

/// A part of a plan that is on the disk.
#[derive(Debug)]
pub(super) struct StoredPart {
    pub(super) planned: Planned,
    /// How long it took to write `repositories.json`, if it was written.
    pub(super) took: Option<Duration>,
}

/// Stores a part of the plan of a job. After a crash before it is durable, the planner delivers it
/// again.
pub(super) fn store_plan(to: &PlanToStore, planned: Planned) -> Result<StoredPart, StoreError> {
    let PlanToStore { folder, master, publish } = to;
    if let Some(master) = master {
        let scan_type = Some(planned.scan_type());
        folder.write_master(&Master { scan_type, ..master.clone() }, Durability::Flushed)?;
    }
    let mut took = None;
    match &planned {
        Planned::Repository(plan) => folder.write_plan(plan, Durability::Flushed)?,
        Planned::Page(page) => {
            listing::append(folder, page)?;
            let begun = Instant::now();
            if *publish {
                if let Err(error) = listing::publish(folder, Durability::Eventual) {
                    tracing::warn!(path = %folder.path().display(), error = chain(&error), "cannot write repositories.json; it is written with a later page");
                }
                took = Some(begun.elapsed());
            }
        }
        Planned::Complete => listing::complete(folder)?,
        Planned::Ended(_) => listing::publish(folder, Durability::Flushed)?,
        Planned::Failed(_) => {}
    }
    Ok(StoredPart { planned, took })
}

/// Writes `master.json`.
///
/// Everything that a client may rely on is fsynced: creation, final state, and what somebody waits
/// for (`awaited`), such as a cancel or a pause. The lists may be
/// slightly stale after a power cut but must be complete: without this file nobody knows what is to
/// be scanned.
pub(super) fn write_master(
    folder: &JobDir,
    master: &Master,
    awaited: bool,
) -> Result<(), StoreError> {
    let durable = awaited || master.final_state().is_some();
    let durability = if durable { Durability::Flushed } else { Durability::Content };
    folder.write_master(master, durability)
}
