//! The shares of jobs: how many slots a job may hold, and which slots are reclaimed.
//!
//! Input: repositories that release their slots, and the times of slow scans. Output: orders to
//! yield slots.
//!
//! Invariants: a job keeps at least one of its slots; a repository is ordered to yield its slot
//! once in its life; no more slots are reclaimed than jobs wait without one.

use super::{Effect, Job, Scheduler};
use crate::{model::attempt::OrderReason, supervisor::RepoKey};

impl Scheduler {
    /// Releases a repository's slot; `None` if it had none.
    pub(super) fn leave(&mut self, repo: &RepoKey) -> Option<Left> {
        let job = self.jobs.get_mut(&repo.job)?;
        if !job.running.remove(&repo.index) {
            return None;
        }
        self.running -= 1;
        let (host, label) = (job.host.clone(), job.label.clone());
        let was_slow = job.slow.contains(&repo.index);
        job.slow.retain(|index| *index != repo.index);
        let was_yielding = job.yielding.remove(&repo.index);
        self.leave_host(host.as_ref());
        self.labels.end(label.as_ref());
        self.release_target(repo);
        Some(Left { was_slow, was_yielding, was_alone: self.alone.end(repo) })
    }

    /// As [`leave`](Self::leave), for a repository that has failed. If it was slow, the share of
    /// its job is halved.
    pub(super) fn leave_unscanned(&mut self, repo: &RepoKey) -> Option<Left> {
        let left = self.leave(repo)?;
        if let Some(job) = self.jobs.get_mut(&repo.job).filter(|_| left.was_slow) {
            job.share = (job.share / 2).max(1);
        }
        Some(left)
    }

    /// Changes the number of slots. A job that could hold all of them still can; scans that run
    /// beyond a lowered limit end on their own.
    pub(super) fn set_limit(&mut self, limit: usize) {
        for job in self.jobs.values_mut() {
            job.share = if job.share == self.limit { limit } else { job.share.min(limit) };
        }
        self.slots = if self.slots == self.limit { limit } else { self.slots.min(limit) };
        self.limit = limit;
    }

    /// If no slot is free and none beyond a lowered number is in use, reclaims one for each job that
    /// waits without any: from the job with the most slots, the scan that became slow last.
    pub(super) fn reclaim(&mut self, effects: &mut Vec<Effect>) {
        // A slot beyond the number in use would go to nobody.
        if self.is_halted()
            || self.running != self.in_use()
            || self.jobs.values().all(|job| job.slow.is_empty())
        {
            return;
        }
        let waits = |job: &&Job| job.running.is_empty() && job.may_start() && self.has_place(job);
        let waiting = self.jobs.values().filter(waits).count();
        // Slots that are about to be released go to the jobs that waited first.
        let coming: usize = self.jobs.values().map(|job| job.yielding.len()).sum();
        for _ in coming..waiting {
            let candidates = self.turns.iter().filter_map(|id| {
                let job = self.jobs.get(id)?;
                let kept = job.running.len() - job.yielding.len();
                let index = job.slow.iter().rev().find(|index| !job.yielded.contains(*index))?;
                (kept > 1 && !job.cancelled).then_some((kept, id, *index))
            });
            let Some((kept, id, index)) = candidates.max_by_key(|candidate| candidate.0) else {
                return;
            };
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

/// What was known about a repository that released its slot.
pub(super) struct Left {
    pub(super) was_slow: bool,
    pub(super) was_yielding: bool,
    pub(super) was_alone: bool,
}
