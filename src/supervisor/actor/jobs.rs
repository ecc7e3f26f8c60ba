//! Changes of a job as a whole: what a command starts, and what follows once its step is done.
//!
//! Input: commands, jobs that were found at start, outcomes of steps (`job_steps`). Output: steps,
//! answers, events for the scheduler.
//!
//! Invariants: a cancel is durable before it takes effect, unless the disk refuses the write; a
//! step writes the job's state as of the start of the step; a job's files are removed only when
//! nothing of the job runs, is being written or is queued; every caller that waits for an answer
//! gets one.

use super::Actor;
use crate::{
    model::{FailureKind, JobId, listing::StoredPlan},
    store::{StoreError, chain},
    supervisor::{
        RepoKey, archiving,
        command::{Cancelled, Retried, TurnChanged},
        disposition::Disposition,
        job::{Job, NewJob, RecoveredJob},
        job_steps::{self, After, CreateAnswer, Done, Step},
        pools::Purpose,
        reopen::{self, ReopenOutcome},
        scheduler::{Event, Standing},
    },
};
use chrono::Utc;
use std::{io, mem};
use tokio::sync::oneshot;

impl Actor {
    /// Continues a job that was found at start or reopened.
    pub(super) fn resume(&mut self, found: RecoveredJob) {
        let RecoveredJob { id, master, plan, repositories } = found;
        let permit = self.load.reserve();
        let StoredPlan { plan, listing } = plan;
        let is_complete = plan.complete;
        let mut job = Job::new(NewJob { id: id.clone(), master, plan, permit });
        if !is_complete {
            job.master.set_discovery_errors(listing.errors);
        }
        let (mut queued, mut running, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        let (mut adopted, mut refused, mut paused) = (Vec::new(), Vec::new(), Vec::new());
        let mut running_alone = None;
        for (index, found) in repositories {
            match found {
                Disposition::Finished(status) => job.note_finished(index, &status),
                Disposition::Running(living) => {
                    running.push(index);
                    if living.record().is_some_and(|record| record.alone) {
                        running_alone = Some(index);
                    }
                    adopted.push((index, living));
                }
                Disposition::Queued(next) => {
                    job.expect_attempt(index, next);
                    if next.pause.is_zero() {
                        if next.alone { &mut alone } else { &mut queued }.push(index);
                    } else {
                        paused.push((index, next));
                    }
                }
                Disposition::WillRetry { cause, next, .. } => {
                    self.note_retry(&RepoKey { job: id.clone(), index }, cause, None, next);
                    job.expect_attempt(index, next);
                    paused.push((index, next));
                }
                Disposition::Refused(reason) => refused.push((index, reason)),
            }
        }
        let (n_adopted, n_queued, n_paused) =
            (adopted.len(), queued.len() + alone.len(), paused.len());
        tracing::info!(job = %id, adopted = n_adopted, queued = n_queued, paused = n_paused, "found an unfinished job");
        self.jobs.insert(id.clone(), job);
        let planning = self.begin_planning(&id);
        let ending = refused.len();
        self.refuse(id.clone(), refused);
        for (index, living) in adopted {
            let key = RepoKey { job: id.clone(), index };
            let (attempt, ending) = self.adopt(&key, living);
            self.watch(key, attempt, ending);
        }
        for (index, next) in &paused {
            self.time_pause(RepoKey { job: id.clone(), index: *index }, *next);
        }
        let paused = paused.into_iter().map(|(index, _)| index).collect();
        // A cancel recorded in master.json may not have been carried out completely.
        let standing = self.standing(&id);
        let known = Standing { queued, running, paused, ending, planning, alone, ..standing };
        let standing = Standing { running_alone, ..known };
        self.on(Event::Submitted(id, standing));
    }

    /// Starts the creation of a job.
    pub(super) fn create(&mut self, job: Box<NewJob>, answer: CreateAnswer) {
        let id = job.id.clone();
        self.steps.open(&id);
        self.push(&id, Step::Create(job, answer));
    }

    /// Starts to reopen a finished job.
    pub(super) fn retry(
        &mut self,
        id: &JobId,
        cause: Option<FailureKind>,
        answer: oneshot::Sender<Retried>,
    ) {
        let refusal = if self.stop.is_some() {
            Some(Retried::Stopped)
        } else if self.steps.is_leaving(id) {
            Some(Retried::Gone)
        } else if self.jobs.get(id).is_some_and(|job| job.finished) {
            // Clients may know the final state before the loop knows that it is written.
            self.push(id, Step::Master(vec![After::Retry(cause, answer)]));
            return;
        } else {
            self.jobs.contains_key(id).then_some(Retried::Running)
        };
        if let Some(refusal) = refusal {
            let _ = answer.send(refusal);
            return;
        }
        self.steps.open(id);
        self.push(id, Step::Reopen(cause, answer));
    }

    /// Queues a write of `master.json`; it contains the job's state at the time of the write.
    pub(super) fn write_master(&mut self, id: &JobId) {
        self.push(id, Step::Master(Vec::new()));
    }

    pub(super) fn cancel(&mut self, id: &JobId, answer: oneshot::Sender<Cancelled>) {
        if !self.jobs.contains_key(id) {
            // A job that is being removed has been cancelled already.
            let leaving = self.steps.is_leaving(id);
            let _ = answer.send(if leaving { Cancelled::Done } else { Cancelled::NotRunning });
            return;
        }
        self.note_cancelled(id, After::Cancel(answer));
    }

    /// Marks a job cancelled unless it has a final state. `after` follows once that is durable or
    /// the disk has refused it.
    pub(super) fn note_cancelled(&mut self, id: &JobId, after: After) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if !job.finished && !job.is_cancelled() {
            job.cancel(Utc::now());
            tracing::info!(job = %id, "job cancelled");
        }
        self.on(Event::CancelBegun(id.clone()));
        self.push(id, Step::Master(vec![after]));
    }

    /// Adds a step to those of a job; the step begins once those before it are done.
    pub(super) fn push(&mut self, id: &JobId, step: Step) {
        if let Some(step) = self.steps.push(id, step) {
            self.begin(id.clone(), step);
        }
    }

    fn next_step(&mut self, id: &JobId) {
        match self.steps.next(id) {
            Some(step) => self.begin(id.clone(), step),
            None => self.remove_if_idle(id),
        }
    }

    fn begin(&mut self, id: JobId, step: Step) {
        let at = (id.clone(), self.setup.jobs.job(&id).path().to_owned());
        match step {
            Step::Create(job, answer) => {
                let setup = self.setup.clone();
                self.effects.run_step(
                    at,
                    Purpose::Files,
                    move || job_steps::create(&setup, job),
                    |created| Done::Created(answer, created),
                );
            }
            Step::Reopen(cause, answer) => {
                let setup = self.setup.clone();
                let work = move || reopen::reopen(&setup, &id, cause);
                self.effects.run_step(at, Purpose::Reopens, work, |reopened| {
                    Done::Reopened(answer, reopened)
                });
            }
            Step::Plan(planned, answer) => {
                let Some(to) = self.plan_to_store(&id) else {
                    // The plan is no longer needed.
                    return self.step_done(&id, Done::Unwanted(answer));
                };
                let work = move || job_steps::store_plan(&to, planned);
                let done = move |stored| Done::Planned(answer, stored);
                self.effects.run_step(at, Purpose::Files, work, done);
            }
            Step::Master(after) => {
                let Some(job) = self.jobs.get_mut(&id) else {
                    let done = Done::Wrote { after, written: Ok(()), finished: false };
                    return self.step_done(&id, done);
                };
                job.update_lists(Utc::now());
                let (master, finished) = (job.master.clone(), job.finished);
                let folder = self.setup.jobs.job(&id);
                let awaited = !after.is_empty();
                let work = move || job_steps::write_master(&folder, &master, awaited);
                self.effects.run_step(at, Purpose::Files, work, move |written| Done::Wrote {
                    after,
                    written,
                    finished,
                });
            }
            Step::Archive(header) => {
                let setup = self.setup.clone();
                let work = move || archiving::retire(&setup, *header);
                self.effects.run_step(at, Purpose::Archives, work, Done::Removed);
            }
            Step::Remove => {
                let jobs = self.setup.jobs.clone();
                let work = move || archiving::remove(&jobs, &id);
                self.effects.run_step(at, Purpose::Removals, work, Done::Removed);
            }
        }
    }

    /// Takes in the outcome of a job's step and starts the next step.
    pub(super) fn step_done(&mut self, id: &JobId, done: Done) {
        match done {
            Done::Created(answer, created) => {
                let created = created.map(|job| self.created(*job));
                let _ = answer.send(created);
                self.handle_deferred(id);
            }
            Done::Reopened(answer, reopened) => {
                let _ = answer.send(self.reopened(id, reopened));
                self.handle_deferred(id);
            }
            Done::Planned(answer, stored) => {
                let stored = stored.map(|part| self.planned(id, part.planned, part.took));
                let _ = answer.send(stored);
            }
            Done::Unwanted(answer) => {
                let _ = answer.send(Ok(()));
            }
            Done::Wrote { after, written, finished } => self.wrote(id, after, &written, finished),
            Done::Removed(removed) => self.removed(id, &removed),
        }
        self.next_step(id);
    }

    fn handle_deferred(&mut self, id: &JobId) {
        for command in self.steps.end_open(id) {
            self.handle(command);
        }
    }

    fn created(&mut self, new: NewJob) {
        let id = new.id.clone();
        let job = Job::new(new);
        let queued = job.repositories.keys().copied().collect();
        self.jobs.insert(id.clone(), job);
        let planning = self.begin_planning(&id);
        let standing = Standing { queued, planning, ..self.standing(&id) };
        self.on(Event::Submitted(id, standing));
    }

    fn reopened(&mut self, id: &JobId, reopened: Result<ReopenOutcome, StoreError>) -> Retried {
        match reopened {
            Ok(ReopenOutcome::Job(job)) => {
                tracing::info!(job = %id, "job reopened; its failed repositories are scanned again");
                self.resume(*job);
                Retried::GoesOn
            }
            Ok(ReopenOutcome::NothingFailed) => Retried::NothingFailed,
            Ok(ReopenOutcome::NotOurs) => Retried::NotOurs,
            Err(error) => Retried::Failed(error),
        }
    }

    /// Takes in the outcome of a write of `master.json`. A failed write is repeated. A finished job
    /// is dropped once its final state is on the disk.
    fn wrote(
        &mut self,
        id: &JobId,
        after: Vec<After>,
        written: &Result<(), StoreError>,
        finished: bool,
    ) {
        if let Some(job) = self.jobs.get_mut(id) {
            match written {
                Ok(()) => {
                    if mem::take(&mut job.unwritten) {
                        tracing::info!(job = %id, "master.json was written; the earlier write error is resolved");
                    }
                }
                Err(error) => {
                    job.dirty = true;
                    // Logged once, not every second while the disk is unavailable.
                    if !mem::replace(&mut job.unwritten, true) {
                        tracing::error!(job = %id, error = chain(error), "cannot write master.json; the write is repeated until it succeeds");
                    }
                    self.flush_soon();
                }
            }
        }
        // A folder that is about to be removed needs no final state.
        if finished && (written.is_ok() || self.steps.is_leaving(id)) {
            self.jobs.remove(id);
        }
        for after in after {
            match after {
                // Also if the write failed: the running scans may be what fills the disk.
                After::Cancel(answer) => {
                    self.on(Event::CancelAsked(id.clone()));
                    let _ = answer.send(match written {
                        Ok(()) => Cancelled::Done,
                        Err(error) => Cancelled::Unwritten(copy_of(error)),
                    });
                }
                After::Turn(answer) => {
                    self.apply_turn(id);
                    let _ = answer.send(match written {
                        Ok(()) => TurnChanged::Done,
                        Err(error) => TurnChanged::Unwritten(copy_of(error)),
                    });
                }
                After::Vanish => self.vanish(id),
                // The final state could not be written.
                After::Retry(_, answer) if self.jobs.contains_key(id) => {
                    let _ = answer.send(Retried::Running);
                }
                After::Retry(cause, answer) => self.retry(id, cause, answer),
            }
        }
    }

    /// Every repository of the job is finished.
    pub(super) fn finish(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.finish(Utc::now());
        job.finished = true;
        let master = &job.master;
        let completed = master.completed_repositories.as_ref().map_or(0, Vec::len);
        let failed = master.failed_repositories.as_ref().map_or(0, Vec::len);
        let (status, error) = (master.status.as_deref(), master.error.as_deref());
        tracing::info!(job = %id, status, completed, failed, error, "job finished");
        if self.steps.is_leaving(id) {
            self.jobs.remove(id);
            self.remove_if_idle(id);
        } else {
            self.write_master(id);
        }
    }

    /// Drops a job whose files are gone or about to be removed, and stops its scans.
    pub(super) fn vanish(&mut self, id: &JobId) {
        self.on(Event::Vanished(id.clone()));
        if self.jobs.get(id).is_some_and(|job| job.finished) {
            self.jobs.remove(id);
        }
    }
}

/// Copies an error for another caller that waits for the same outcome.
pub(super) fn copy_of(error: &StoreError) -> StoreError {
    StoreError {
        action: error.action,
        path: error.path.clone(),
        source: io::Error::new(error.source.kind(), error.source.to_string()),
    }
}
