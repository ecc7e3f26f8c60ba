//! Who gets the next free slot: single repositories before groups, users by their weights, and then
//! the jobs of a user in turns.
//!
//! Input: the jobs that have something to start. Output: starts.
//!
//! Invariants: a job of a single repository gets the next free slot, however many repositories are
//! queued in groups, as long as its user's single repositories do not use up the user's share of
//! the slots; of two slots in a row for which both kinds wait, at least one goes to a group. Among
//! users, `user_shares` decides. Within a user the job that was
//! bumped last comes first, then the one with the fewest running scans, then the one that has
//! waited longest for a turn. No slot stays free for lack of a right to it
//! (docs/decisions/0025-fair-shares.md).

use super::{
    Effect, Job, Scheduler,
    user_shares::{Balances, Shares, User, Weights},
};
use crate::supervisor::RepoKey;
use std::cmp::Reverse;

/// What the order of starts depends on besides the jobs.
#[derive(Debug, Default)]
pub(super) struct Priority {
    weights: Weights,
    balances: Balances,
    /// The last slot went to a single repository while a group waited for it.
    group_is_next: bool,
}

/// A job that has something to start.
struct Candidate<'a> {
    /// Its position among the turns.
    position: usize,
    job: &'a Job,
}

/// Whose turn it is.
struct Choice {
    position: usize,
    /// How the balances of users change with it.
    changes: Vec<(User, i64)>,
    /// A group waits for the same slot.
    is_contested: bool,
}

impl Scheduler {
    /// Changes the weights of users.
    pub(super) fn set_weights(&mut self, weights: Weights) {
        self.priority.weights = weights;
    }

    /// The last job of this user is finished, unless there are others.
    pub(super) fn forget_user(&mut self, user: &User) {
        if self.jobs.values().all(|job| job.user != *user) {
            self.priority.balances.forget(user);
        }
    }

    /// Gives out the free slots. A job gets no more than its share, even if a slot stays free.
    pub(super) fn fill(&mut self, effects: &mut Vec<Effect>) {
        if self.is_halted() || self.starts_alone(effects) {
            return;
        }
        while self.running < self.in_use() {
            self.set_doubles_aside(effects);
            let Some(choice) = self.choose() else { return };
            let Some(id) = self.turns.get(choice.position).cloned() else { return };
            let first = self.jobs.get(&id).and_then(|job| job.queued.front().copied());
            let Some(index) = first else { return };
            self.take_turn(&choice, RepoKey { job: id, index }, effects);
        }
    }

    fn take_turn(&mut self, choice: &Choice, repo: RepoKey, effects: &mut Vec<Effect>) {
        self.priority.balances.change(&choice.changes, self.limit);
        self.turns.remove(choice.position);
        self.turns.push_back(repo.job.clone());
        let Some(job) = self.jobs.get_mut(&repo.job) else { return };
        self.priority.group_is_next = job.single && choice.is_contested;
        job.queued.pop_front();
        self.alone.note_other();
        self.begin(repo, effects);
    }

    /// Decides which job gets the next free slot.
    fn choose(&self) -> Option<Choice> {
        let waiting = self.turns.iter().enumerate().filter_map(|(position, id)| {
            let job = self.jobs.get(id)?;
            (job.has_room() && self.has_place(job)).then_some(Candidate { position, job })
        });
        let all: Vec<Candidate<'_>> = waiting.collect();
        let mut shares = Shares::new(self.in_use());
        for job in self.jobs.values().filter(|job| !job.running.is_empty()) {
            shares.add_running(&job.user, job.running.len(), job.single);
        }
        for candidate in &all {
            shares.add_waiting(&candidate.job.user);
        }
        shares.divide(&self.priority.weights);
        let goes_first = |candidate: &&Candidate<'_>| {
            candidate.job.single && shares.has_room_for_single(&candidate.job.user)
        };
        let groups = || all.iter().filter(|candidate| !candidate.job.single);
        let singles: Vec<_> = all.iter().filter(goes_first).collect();
        let is_contested = !singles.is_empty() && groups().next().is_some();
        let kind: Vec<&Candidate<'_>> = match (singles.is_empty(), is_contested) {
            (true, _) => all.iter().collect(),
            (false, true) if self.priority.group_is_next => groups().collect(),
            (false, _) => singles,
        };
        let users = kind.iter().map(|candidate| &candidate.job.user);
        let user = shares.next(users, &self.priority.balances)?;
        let of_user = kind.iter().filter(|candidate| candidate.job.user == *user);
        let first = of_user.min_by_key(|candidate| {
            (Reverse(candidate.job.bumped), candidate.job.running.len(), candidate.position)
        })?;
        Some(Choice { position: first.position, changes: shares.changes(user), is_contested })
    }
}

impl Job {
    /// Whether a scan of the job may be started now.
    pub(super) fn has_room(&self) -> bool {
        self.may_start() && self.running.len() < self.share
    }

    /// Whether a scan of the job may be started once it gets a slot.
    pub(super) fn may_start(&self) -> bool {
        !self.queued.is_empty() && !self.held && !self.suspended
    }
}

#[cfg(test)]
mod tests;
