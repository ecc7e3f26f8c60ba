//! What becomes of repositories that have to be scanned again, or that are not scanned any more.
//!
//! Input: repositories whose shims have exited, and cancelled jobs. Output: queued repositories,
//! orders to running shims, and final states to write.
//!
//! Invariant: nothing of a cancelled job is queued or waits for a retry.

use super::{Effect, Scheduler};
use crate::{
    model::{JobId, attempt::OrderReason},
    supervisor::RepoKey,
};

impl Scheduler {
    /// Starts nothing more of a job. Running shims are ordered first, because writing thousands of
    /// final states takes time.
    pub(super) fn cancel(&mut self, id: &JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        if !job.cancelled {
            effects.extend(job.running.iter().map(|index| {
                let repo = RepoKey { job: id.clone(), index: *index };
                Effect::End(repo, OrderReason::Cancel)
            }));
        }
        job.cancelled = true;
        if std::mem::take(&mut job.planning) {
            effects.push(Effect::StopPlanning(id.clone()));
        }
        job.queued.extend(std::mem::take(&mut job.set_aside));
        job.queued.extend(std::mem::take(&mut job.paused));
        job.queued.extend(std::mem::take(&mut job.alone));
        if !job.queued.is_empty() {
            job.discarding += job.queued.len();
            effects.push(Effect::Discard(id.clone(), job.queued.drain(..).collect()));
        }
    }

    /// Queues no retry for a repository of a cancelled job.
    pub(super) fn pause(&mut self, repo: &RepoKey, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&repo.job) else { return };
        if job.cancelled {
            job.discarding += 1;
            effects.push(Effect::Discard(repo.job.clone(), vec![repo.index]));
        } else {
            job.paused.insert(repo.index);
        }
    }

    pub(super) fn queue_again(&mut self, repo: &RepoKey, effects: &mut Vec<Effect>) {
        if let Some(left) = self.leave(repo)
            && let Some(job) = self.jobs.get_mut(&repo.job)
        {
            if job.cancelled {
                job.discarding += 1;
                effects.push(Effect::Discard(repo.job.clone(), vec![repo.index]));
            } else if left.was_alone {
                job.alone.insert(repo.index);
            } else if left.was_yielding {
                // Repositories that have not been started yet come first.
                job.queued.push_back(repo.index);
            } else {
                job.queued.push_front(repo.index);
            }
        }
        self.finish_if_done(&repo.job, effects);
    }
}
