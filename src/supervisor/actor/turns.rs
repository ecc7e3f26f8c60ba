//! The turns of jobs: weights of users, and what users request of their jobs: pause, resume, bump.
//!
//! Input: commands and settings. Output: events for the scheduler, writes of `master.json`, answers.
//!
//! Invariants: a pause takes effect at once, a resume and a bump once they are durable; all three are
//! durable before their answer, unless the disk refuses the write; each may be repeated.

use super::Actor;
use crate::{
    model::JobId,
    supervisor::{
        command::{TurnChanged, TurnRequest},
        job_steps::{After, Step},
        scheduler::{Event, Standing},
    },
};
use chrono::Utc;
use tokio::sync::oneshot;

impl Actor {
    /// Takes in the weights of the settings.
    pub(super) fn take_weights(&mut self) {
        let weights = self.setup.config.get().scheduler.weights.clone();
        self.load.set_weights(weights.clone());
        self.on(Event::Weights(weights));
    }

    /// Pauses, resumes or bumps a job.
    pub(super) fn change_turn(
        &mut self,
        id: &JobId,
        request: TurnRequest,
        answer: oneshot::Sender<TurnChanged>,
    ) {
        let Some(job) = self.jobs.get_mut(id) else {
            // A job that is being removed has been cancelled.
            let leaving = self.steps.is_leaving(id);
            let refusal = if leaving { TurnChanged::Finished } else { TurnChanged::NotRunning };
            let _ = answer.send(refusal);
            return;
        };
        if job.finished || job.is_cancelled() {
            let _ = answer.send(TurnChanged::Finished);
            return;
        }
        match request {
            TurnRequest::Pause => job.set_paused(true),
            TurnRequest::Resume => job.set_paused(false),
            TurnRequest::Bump => job.bump(Utc::now()),
        }
        tracing::info!(job = %id, ?request, "the turns of a job are changed on request");
        if request == TurnRequest::Pause {
            self.on(Event::Suspended(id.clone()));
        }
        self.push(id, Step::Master(vec![After::Turn(answer)]));
    }

    /// The turns of a job are as its `master.json` has them. A later request may have changed them
    /// again.
    pub(super) fn apply_turn(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let (paused, bumped) = (job.master.paused, job.bumped());
        if let Some(at) = bumped {
            self.on(Event::Bumped(id.clone(), at));
        }
        self.on(if paused { Event::Suspended(id.clone()) } else { Event::Resumed(id.clone()) });
    }

    /// What the scheduler has to know about a job; its targets are known to it afterwards.
    pub(super) fn standing(&mut self, id: &JobId) -> Standing {
        let Some(job) = self.jobs.get(id) else { return Standing::default() };
        let standing = Standing {
            cancelled: job.is_cancelled(),
            user: job.user(),
            single: job.is_single(),
            suspended: job.master.paused,
            bumped: job.bumped(),
            host: job.host.clone(),
            label: self.engine.label_of(job.host.as_ref()),
            ..Standing::default()
        };
        let all: Vec<u32> = job.repositories.keys().copied().collect();
        self.note_targets(id, &all);
        standing
    }

    /// Reports what these repositories of a job are to the scheduler, before they are queued.
    pub(super) fn note_targets(&mut self, id: &JobId, indices: &[u32]) {
        if let Some(job) = self.jobs.get(id) {
            let targets = job.targets(indices.iter().copied());
            self.on(Event::Targets(id.clone(), targets));
        }
    }
}
