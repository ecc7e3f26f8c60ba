//! Changes of a job as a whole: what a command begins, and what follows once its step is done.
//!
//! Input: commands, outcomes of steps (`lanes`). Output: steps, answers, events for the scheduler.
//!
//! Invariants: a cancel is durable before anything follows from it, unless the disk refuses; the files
//! of a job are removed once nothing of it runs, is written or waits; whoever waits for an answer gets one.

use super::{
    actor::Actor,
    handle::{Cancelled, Retried},
    job::{Job, NewJob},
    lanes::{After, CreateAnswer, Done, PlanAnswer, Removal, RemovalAnswer, Step},
    revival::Revival,
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
    /// Begins to create a job.
    pub(super) fn create(&mut self, job: Box<NewJob>, answer: CreateAnswer) {
        let id = job.id.clone();
        self.lanes.opening.insert(id.clone(), Vec::new());
        self.push(&id, Step::Create(job, answer));
    }

    /// Begins to make an unfinished job of a finished one.
    pub(super) fn retry(&mut self, id: &JobId, answer: oneshot::Sender<Retried>) {
        let refusal = if self.stop.is_some() {
            Some(Retried::Stopped)
        } else if self.lanes.is_leaving(id) {
            Some(Retried::Gone)
        } else {
            self.jobs.contains_key(id).then_some(Retried::Running)
        };
        if let Some(refusal) = refusal {
            let _ = answer.send(refusal);
            return;
        }
        self.lanes.opening.insert(id.clone(), Vec::new());
        self.push(id, Step::Reopen(answer));
    }

    /// Writes down which repositories a job has.
    pub(super) fn plan(&mut self, id: &JobId, kind: ScanType, plan: Plan, answer: PlanAnswer) {
        self.push(id, Step::Plan(kind, plan, answer));
    }

    /// Has `master.json` written as the job is then.
    pub(super) fn write_master(&mut self, id: &JobId) {
        self.push(id, Step::Master(Vec::new()));
    }

    pub(super) fn cancel(&mut self, id: &JobId, answer: oneshot::Sender<Cancelled>) {
        if !self.jobs.contains_key(id) {
            // One whose files are being removed has been cancelled before.
            let leaving = self.lanes.is_leaving(id);
            let _ = answer.send(if leaving { Cancelled::Done } else { Cancelled::NotRunning });
            return;
        }
        self.note_cancelled(id, After::Cancel(answer));
    }

    pub(super) fn remove(&mut self, id: &JobId, answer: RemovalAnswer) {
        let removal = self.lanes.removals.entry(id.clone()).or_default();
        removal.answers.push(answer);
        if self.jobs.contains_key(id) {
            // Should the server die in the middle, the next one must not go on with the job.
            self.note_cancelled(id, After::Vanish);
        } else {
            self.remove_if_idle(id);
        }
    }

    /// Calls a job cancelled, unless it has a final state already. What follows waits until that is
    /// durable, or the disk has refused it.
    fn note_cancelled(&mut self, id: &JobId, after: After) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if !job.over && !job.is_cancelled() {
            job.cancel(Utc::now());
            tracing::info!(%id, "job cancelled");
        }
        self.on(Event::CancelBegun(id.clone()));
        self.push(id, Step::Master(vec![after]));
    }

    /// Removes a job's files once nothing of it runs, is written or is queued.
    pub(super) fn remove_if_idle(&mut self, id: &JobId) {
        let lanes = &mut self.lanes;
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

    /// A step of a job is done: takes in what came of it, and begins the next.
    pub(super) fn step_done(&mut self, id: &JobId, done: Done) {
        match done {
            Done::Created(answer, created) => {
                let created = created.map(|job| self.created(*job));
                let _ = answer.send(created);
                self.obey_deferred(id);
            }
            Done::Reopened(answer, reopened) => {
                let _ = answer.send(self.reopened(id, reopened));
                self.obey_deferred(id);
            }
            Done::Planned(kind, answer, written) => {
                let _ = answer.send(written.map(|plan| self.planned(id, kind, &plan)));
            }
            Done::Unwanted(answer) => {
                let _ = answer.send(Ok(()));
            }
            Done::Wrote { after, written, over } => self.wrote(id, after, &written, over),
            Done::Removed(removed) => self.removed(id, &removed),
        }
        if let Some(lane) = self.lanes.by_job.get_mut(id) {
            lane.busy = false;
        }
        self.next_step(id);
    }

    fn obey_deferred(&mut self, id: &JobId) {
        for command in self.lanes.opening.remove(id).unwrap_or_default() {
            self.obey(command);
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

    fn reopened(&mut self, id: &JobId, reopened: Result<Revival, StoreError>) -> Retried {
        match reopened {
            Ok(Revival::Job(job)) => {
                tracing::info!(%id, "what failed of the job is scanned again");
                self.resume(*job);
                Retried::GoesOn
            }
            Ok(Revival::NothingFailed) => Retried::NothingFailed,
            Ok(Revival::NotOurs) => Retried::NotOurs,
            Err(error) => Retried::Failed(error),
        }
    }

    /// `master.json` has been written, or not: then it is tried again. A finished job is let go once
    /// it is on the disk that it is.
    fn wrote(
        &mut self,
        id: &JobId,
        after: Vec<After>,
        written: &Result<(), StoreError>,
        over: bool,
    ) {
        if let Some(job) = self.jobs.get_mut(id) {
            match written {
                Ok(()) => {
                    if mem::take(&mut job.unwritten) {
                        tracing::info!(%id, "master.json is written again");
                    }
                }
                Err(error) => {
                    job.dirty = true;
                    // Logged once, and not each second for as long as the disk is away.
                    if !mem::replace(&mut job.unwritten, true) {
                        tracing::error!(%id, error = chain(error), "cannot write master.json; it is tried again");
                    }
                    self.flush_soon();
                }
            }
        }
        // A folder that is about to be removed needs no final state.
        if over && (written.is_ok() || self.lanes.is_leaving(id)) {
            self.jobs.remove(id);
        }
        for after in after {
            match after {
                // Also where it could not be written: what runs may be what fills the disk.
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

    /// Forgets a job whose files are about to be removed, or are gone, and ends what runs of it.
    pub(super) fn vanish(&mut self, id: &JobId) {
        self.on(Event::Vanished(id.clone()));
        if self.jobs.get(id).is_some_and(|job| job.over) {
            self.jobs.remove(id);
        }
    }

    fn removed(&mut self, id: &JobId, removed: &Result<(), StoreError>) {
        let Some(Removal { answers, .. }) = self.lanes.removals.remove(id) else { return };
        for answer in answers {
            let _ = answer.send(removed.as_ref().map_err(copy_of).copied());
        }
    }
}

/// The same error for one more who waits for the outcome.
fn copy_of(error: &StoreError) -> StoreError {
    StoreError {
        action: error.action,
        path: error.path.clone(),
        source: io::Error::new(error.source.kind(), error.source.to_string()),
    }
}

#[cfg(test)]
mod tests;
