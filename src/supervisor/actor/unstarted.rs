//! Repositories of the loop that are not started: those of a cancelled job, and those that must not
//! be contacted.
//!
//! Input: effects of the scheduler, plans, outcomes of `discards`. Output: batches of final states
//! to write, events for the scheduler.
//!
//! Invariants: a write that the disk refuses is repeated; a job that is being removed gets no more
//! files.

use super::Actor;
use crate::{
    model::{Failure, FailureKind, JobId, RepoState, repository::RepositoryStatus},
    supervisor::{
        RepoKey,
        discards::{self, Discards, Unstarted},
        pools::Purpose,
        repositories::{self, Subject},
        scheduler::Event,
    },
};
use std::time::Duration;

impl Actor {
    /// Finishes repositories of a cancelled job that have not been started.
    pub(super) fn discard(&mut self, job: JobId, indices: Vec<u32>) {
        let cancelled = || Failure::new(FailureKind::Cancelled, "Cancelled on request");
        let ends = indices.into_iter().map(|index| (index, RepoState::Cancelled, cancelled()));
        self.write_ends(job, ends.collect());
    }

    /// Finishes repositories that must not be contacted.
    pub(super) fn refuse(&mut self, job: JobId, reasons: Vec<(u32, String)>) {
        let ends = reasons.into_iter().map(|(index, reason)| {
            (index, RepoState::Failed, Failure::new(FailureKind::Refused, reason))
        });
        self.write_ends(job, ends.collect());
    }

    /// Publishes that a repository waits until the same one is not scanned for another job any more.
    pub(super) fn note_same(&mut self, waiting: RepoKey, running: &RepoKey) {
        let Some(subject) = self.subject(&waiting) else { return };
        let attempt = self.next_attempt(&waiting);
        let message = format!("Waiting for the same repository in job {}", running.job);
        let pool = self.effects.pool(Purpose::Files);
        let work = repositories::note(&self.setup, subject, attempt, message, pool);
        self.carry_out(waiting, work);
    }

    /// Writes final states of repositories that are not started, beside the loop.
    fn write_ends(&mut self, job: JobId, ends: Vec<(u32, RepoState, Failure)>) {
        let unstarted = |(index, state, failure)| {
            let key = RepoKey { job: job.clone(), index };
            let Subject { key, name, git_url } = self.subject(&key)?;
            let attempt = self.next_attempt(&key).saturating_sub(1);
            Some(Unstarted { key, name, git_url, attempt, state, failure })
        };
        let left: Vec<Unstarted> = ends.into_iter().filter_map(unstarted).collect();
        if !left.is_empty() {
            self.write_discards(job, left, Duration::ZERO);
        }
    }

    fn write_discards(&mut self, job: JobId, left: Vec<Unstarted>, pause: Duration) {
        let folder = self.setup.jobs.job(&job);
        let files = self.effects.pool(Purpose::Files).clone();
        self.steps.begin_effect(&job);
        self.discards.spawn(discards::write(job, folder, files, left, pause));
    }

    pub(super) fn discarded(&mut self, discards: Discards) {
        let pause = discards.pause();
        let Discards { job: id, written, left } = discards;
        self.steps.end_effect(&id);
        // A cancelled job needs no line for each of its repositories.
        let is_notable = |status: &RepositoryStatus| {
            status.failure.as_ref().is_some_and(|failure| failure.kind != FailureKind::Cancelled)
        };
        for (index, status) in written.iter().filter(|(_, status)| is_notable(status)) {
            self.log_finished(&RepoKey { job: id.clone(), index: *index }, status);
        }
        // The job may have been dropped meanwhile, or may be about to be removed.
        if let Some(job) = self.jobs.get_mut(&id) {
            for (index, status) in &written {
                job.note_finished(*index, status);
            }
            if !left.is_empty() && !self.steps.is_leaving(&id) {
                self.write_discards(id.clone(), left, pause);
            }
            self.on(Event::Discarded(id.clone(), written.len()));
        }
        self.remove_if_idle(&id);
    }
}
