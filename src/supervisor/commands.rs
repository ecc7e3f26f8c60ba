//! Changes of a job as a whole: what a command starts, and what follows once its step is done.
//!
//! Input: commands, outcomes of steps (`job_steps`). Output: steps, answers, events for the scheduler.
//!
//! Invariants: a cancel is durable before it takes effect, unless the disk refuses the write; a
//! job's files are removed only when nothing of the job runs, is being written or is queued; every
//! caller that waits for an answer gets one.

use super::{
    actor::Actor,
    handle::{Cancelled, Retried},
    job::{Job, NewJob},
    job_steps::{After, CreateAnswer, Done, PlanAnswer, Removal, RemovalAnswer, Step},
    reopen::ReopenOutcome,
    scheduler::{Event, Standing},
};
use crate::{
    model::{JobId, master::ScanType, plan::Plan},
    store::{StoreError, chain},
};
use chrono::Utc;
use std::{io, mem};
use tokio::sync::oneshot;

impl Actor {
    /// Starts the creation of a job.
    pub(super) fn create(&mut self, job: Box<NewJob>, answer: CreateAnswer) {
        let id = job.id.clone();
        self.steps.opening.insert(id.clone(), Vec::new());
        self.push(&id, Step::Create(job, answer));
    }

    /// Starts to reopen a finished job.
    pub(super) fn retry(&mut self, id: &JobId, answer: oneshot::Sender<Retried>) {
        let refusal = if self.stop.is_some() {
            Some(Retried::Stopped)
        } else if self.steps.is_leaving(id) {
            Some(Retried::Gone)
        } else {
            self.jobs.contains_key(id).then_some(Retried::Running)
        };
        if let Some(refusal) = refusal {
            let _ = answer.send(refusal);
            return;
        }
        self.steps.opening.insert(id.clone(), Vec::new());
        self.push(id, Step::Reopen(answer));
    }

    /// Writes a job's plan.
    pub(super) fn plan(&mut self, id: &JobId, kind: ScanType, plan: Plan, answer: PlanAnswer) {
        self.push(id, Step::Plan(kind, plan, answer));
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

    pub(super) fn remove(&mut self, id: &JobId, answer: RemovalAnswer) {
        let removal = self.steps.removals.entry(id.clone()).or_default();
        removal.answers.push(answer);
        if self.jobs.contains_key(id) {
            // If the server dies midway, the next server must not continue the job.
            self.note_cancelled(id, After::Vanish);
        } else {
            self.remove_if_idle(id);
        }
    }

    /// Marks a job cancelled unless it has a final state. `after` follows once that is durable or
    /// the disk has refused it.
    fn note_cancelled(&mut self, id: &JobId, after: After) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if !job.finished && !job.is_cancelled() {
            job.cancel(Utc::now());
            tracing::info!(%id, "job cancelled");
        }
        self.on(Event::CancelBegun(id.clone()));
        self.push(id, Step::Master(vec![after]));
    }

    /// Removes a job's files once nothing of it runs, is being written or is queued.
    pub(super) fn remove_if_idle(&mut self, id: &JobId) {
        let lanes = &mut self.steps;
        let busy = self.jobs.contains_key(id)
            || lanes.by_job.contains_key(id)
            || lanes.in_flight.contains_key(id);
        if let Some(removal) = lanes.removals.get_mut(id)
            && !busy
            && !mem::replace(&mut removal.begun, true)
        {
            self.push(id, Step::Remove);
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
            Done::Planned(kind, answer, written) => {
                let _ = answer.send(written.map(|plan| self.planned(id, kind, &plan)));
            }
            Done::Unwanted(answer) => {
                let _ = answer.send(Ok(()));
            }
            Done::Wrote { after, written, finished } => self.wrote(id, after, &written, finished),
            Done::Removed(removed) => self.removed(id, &removed),
        }
        if let Some(lane) = self.steps.by_job.get_mut(id) {
            lane.busy = false;
        }
        self.next_step(id);
    }

    fn handle_deferred(&mut self, id: &JobId) {
        for command in self.steps.opening.remove(id).unwrap_or_default() {
            self.handle(command);
        }
    }

    fn created(&mut self, new: NewJob) {
        let id = new.id.clone();
        let job = Job::new(new);
        let queued = job.repositories.keys().copied().collect();
        self.jobs.insert(id.clone(), job);
        let planning = self.begin_planning(&id);
        let standing = Standing { queued, planning, ..Standing::default() };
        self.on(Event::Submitted(id, standing));
    }

    fn reopened(&mut self, id: &JobId, reopened: Result<ReopenOutcome, StoreError>) -> Retried {
        match reopened {
            Ok(ReopenOutcome::Job(job)) => {
                tracing::info!(%id, "job reopened; its failed repositories are scanned again");
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
                        tracing::info!(%id, "master.json was written; the earlier write error is resolved");
                    }
                }
                Err(error) => {
                    job.dirty = true;
                    // Logged once, not every second while the disk is unavailable.
                    if !mem::replace(&mut job.unwritten, true) {
                        tracing::error!(%id, error = chain(error), "cannot write master.json; the write is repeated until it succeeds");
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
                After::Vanish => self.vanish(id),
            }
        }
    }

    /// Drops a job whose files are gone or about to be removed, and stops its scans.
    pub(super) fn vanish(&mut self, id: &JobId) {
        self.on(Event::Vanished(id.clone()));
        if self.jobs.get(id).is_some_and(|job| job.finished) {
            self.jobs.remove(id);
        }
    }

    fn removed(&mut self, id: &JobId, removed: &Result<(), StoreError>) {
        let Some(Removal { answers, .. }) = self.steps.removals.remove(id) else { return };
        for answer in answers {
            let _ = answer.send(removed.as_ref().map_err(copy_of).copied());
        }
    }
}

/// Copies an error for another caller that waits for the same outcome.
fn copy_of(error: &StoreError) -> StoreError {
    StoreError {
        action: error.action,
        path: error.path.clone(),
        source: io::Error::new(error.source.kind(), error.source.to_string()),
    }
}

#[cfg(test)]
mod tests;
