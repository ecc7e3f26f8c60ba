//! How many slots a job may hold, and slots that are taken back.
//!
//! Input: repositories that give their slots back, and the times of slow scans. Output: orders to give
//! slots back.
//!
//! Invariants: a job keeps at least one slot of those that it has; a repository is ordered to give its
//! slot back once in its life; no more slots are taken back than jobs wait without any.

use super::{Effect, Job, Scheduler};
use crate::{model::attempt::OrderReason, supervisor::RepoKey};

impl Scheduler {
    /// A repository gives its slot back; none if it had none.
    pub(super) fn leave(&mut self, repo: &RepoKey) -> Option<Left> {
        let job = self.jobs.get_mut(&repo.job)?;
        if !job.running.remove(&repo.index) {
            return None;
        }
        self.running -= 1;
        let was_slow = job.slow.contains(&repo.index);
        job.slow.retain(|it| *it != repo.index);
        Some(Left { was_slow, was_yielding: job.yielding.remove(&repo.index) })
    }

    /// As [`leave`](Self::leave), of one that has failed. If it has used its slot for long, its job
    /// may hold half as many from now on.
    pub(super) fn leave_unscanned(&mut self, repo: &RepoKey) -> Option<Left> {
        let left = self.leave(repo)?;
        if let Some(job) = self.jobs.get_mut(&repo.job).filter(|_| left.was_slow) {
            job.share = (job.share / 2).max(1);
        }
        Some(left)
    }

    /// Where no slot is free, takes one back for each job that waits without one: from the job
    /// with the most, the scan that became slow last.
    pub(super) fn reclaim(&mut self, effects: &mut Vec<Effect>) {
        let halted = self.stopping || self.waiting_for_space;
        if halted || self.running < self.limit || self.jobs.values().all(|it| it.slow.is_empty()) {
            return;
        }
        let waits = |it: &&Job| it.running.is_empty() && !it.queued.is_empty() && !it.held;
        let waiting = self.jobs.values().filter(waits).count();
        // What is about to be given back is for those who came first.
        let coming: usize = self.jobs.values().map(|it| it.yielding.len()).sum();
        for _ in coming..waiting {
            let candidates = self.turns.iter().filter_map(|id| {
                let job = self.jobs.get(id)?;
                let kept = job.running.len() - job.yielding.len();
                let index = job.slow.iter().rev().find(|it| !job.yielded.contains(*it))?;
                (kept > 1 && !job.cancelled).then_some((kept, id, *index))
            });
            let Some((kept, id, index)) = candidates.max_by_key(|it| it.0) else { return };
            let id = id.clone();
            if let Some(job) = self.jobs.get_mut(&id) {
                job.yielding.insert(index);
                job.yielded.insert(index);
                job.share = job.share.min(kept - 1);
            }
            effects.push(Effect::End(RepoKey { job: id, index }, OrderReason::Yield));
        }
    }
}

/// What a repository was that has given its slot back.
pub(super) struct Left {
    pub(super) was_slow: bool,
    pub(super) was_yielding: bool,
}
