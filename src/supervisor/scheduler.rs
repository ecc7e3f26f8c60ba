//! The scheduler: the rules of the queue as pure code, without clock, processes or runtime.
//!
//! Input: events. Output: effects.
//!
//! Invariants: a free slot goes to the job with the fewest running scans, and jobs with equally
//! many take turns, so that a group of thousands does not starve a small job. Long scans do not
//! starve it either: if no slot is free, a job without one gets a slot from a job that holds
//! several and has a slow scan among them; that scan is stopped and queued again, once in its life.
//! The number of slots that a job may hold is its share: slow scans that complete nothing halve it,
//! each completed scan adds one (docs/decisions/0012-slow-jobs-give-back-slots.md).

mod shares;

use super::RepoKey;
use crate::model::{JobId, attempt::OrderReason};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Everything that drives the queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// A job was created, reopened or found at start.
    Submitted(JobId, Standing),
    /// Repositories of a job have been listed. `ending` more of them are not started, and their
    /// final states are being written.
    Planned {
        job: JobId,
        queued: Vec<u32>,
        ending: usize,
        /// Whether the listing goes on.
        more: bool,
    },
    /// The repositories could not be listed: the job has none.
    PlanFailed(JobId),
    /// A shim has exited, and its repository has failed.
    Finished(RepoKey),
    /// A shim has exited, and its repository is completed.
    Completed(RepoKey),
    /// A scan has run so long that another job may claim its slot.
    Slow(RepoKey),
    /// A shim has exited, and its repository is to be scanned again.
    Again(RepoKey),
    /// A shim has exited, and its repository is to be retried after a pause.
    Paused(RepoKey),
    /// The pause has ended.
    PauseEnded(RepoKey),
    /// The disk is too full to start this repository: it and all others wait.
    NoSpace(RepoKey),
    SpaceAgain,
    /// A cancel of the job is being written: no more of its repositories are started.
    CancelBegun(JobId),
    /// The cancel is durable.
    CancelAsked(JobId),
    /// The final states of this many repositories that are not started have been written.
    Discarded(JobId, usize),
    /// The job's folder is gone or about to be removed: nothing can be written.
    Vanished(JobId),
    /// This many shims may run from now on.
    Limit(usize),
    StopAsked,
}

/// The state of a job when the scheduler first sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    pub(super) queued: Vec<u32>,
    /// Repositories whose shims live already.
    pub(super) running: Vec<u32>,
    /// Repositories that wait for a retry.
    pub(super) paused: Vec<u32>,
    /// How many repositories are not started and have their final states written.
    pub(super) ending: usize,
    /// Nothing of the job is started.
    pub(super) cancelled: bool,
    /// Its repositories are still being listed.
    pub(super) planning: bool,
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Spawn(RepoKey),
    /// Order a running shim to end.
    End(RepoKey, OrderReason),
    /// Write the final states of repositories that are not started.
    Discard(JobId, Vec<u32>),
    /// The job's repositories need not be listed any more.
    StopPlanning(JobId),
    /// Every repository of the job is finished.
    Finish(JobId),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Scheduler {
    limit: usize,
    jobs: HashMap<JobId, Job>,
    /// The jobs, in the order of their turns.
    turns: VecDeque<JobId>,
    running: usize,
    stopping: bool,
    /// Nothing is started until the disk has space.
    waiting_for_space: bool,
}

#[derive(Debug, Default)]
struct Job {
    queued: VecDeque<u32>,
    running: BTreeSet<u32>,
    /// How many slots the job may hold, from 1 to the limit.
    share: usize,
    /// The running repositories that are slow, in the order in which they became slow.
    slow: Vec<u32>,
    /// The running repositories that have been ordered to yield their slot.
    yielding: BTreeSet<u32>,
    /// The repositories that have ever been ordered to yield; they are not ordered again.
    yielded: BTreeSet<u32>,
    /// Repositories that wait for a retry: they hold no slot and are not queued.
    paused: BTreeSet<u32>,
    /// How many final states of repositories that are not started are being written.
    discarding: usize,
    cancelled: bool,
    /// Whether a cancel is being written.
    held: bool,
    planning: bool,
}

impl Scheduler {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            jobs: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            stopping: false,
            waiting_for_space: false,
        }
    }

    /// How many shims run.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many repositories are queued.
    pub(super) fn queued(&self) -> usize {
        self.jobs.values().map(|job| job.queued.len()).sum()
    }

    /// Whether the queue waits for space on the disk.
    pub(super) fn waits_for_space(&self) -> bool {
        self.waiting_for_space
    }

    /// Takes in an event and returns the effects.
    pub(super) fn on(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Submitted(job, standing) => {
                self.running += standing.running.len();
                let entry = Job {
                    queued: standing.queued.into(),
                    running: standing.running.into_iter().collect(),
                    paused: standing.paused.into_iter().collect(),
                    discarding: standing.ending,
                    planning: standing.planning,
                    share: self.limit,
                    ..Job::default()
                };
                self.jobs.insert(job.clone(), entry);
                self.turns.push_back(job.clone());
                if standing.cancelled {
                    self.cancel(&job, &mut effects);
                }
                self.finish_if_done(&job, &mut effects);
            }
            Event::Planned { job: id, queued, ending, more } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.planning) {
                    job.planning = more;
                    job.queued.extend(queued);
                    job.discarding += ending;
                }
                self.finish_if_done(&id, &mut effects);
            }
            Event::PlanFailed(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.planning = false;
                }
                self.finish_if_done(&id, &mut effects);
            }
            Event::Finished(repo) => {
                self.leave_unscanned(&repo);
                self.finish_if_done(&repo.job, &mut effects);
            }
            Event::Completed(repo) => {
                self.leave(&repo);
                if let Some(job) = self.jobs.get_mut(&repo.job) {
                    job.share = self.limit.min(job.share + 1);
                }
                self.finish_if_done(&repo.job, &mut effects);
            }
            Event::Slow(repo) => {
                if let Some(job) = self.jobs.get_mut(&repo.job)
                    && job.running.contains(&repo.index)
                    && !job.slow.contains(&repo.index)
                {
                    job.slow.push(repo.index);
                }
            }
            Event::Again(repo) => self.queue_again(&repo, &mut effects),
            Event::Paused(repo) => {
                if self.leave_unscanned(&repo).is_some() {
                    self.pause(&repo, &mut effects);
                }
            }
            Event::PauseEnded(repo) => {
                // Repositories that have not failed yet come first.
                if let Some(job) = self.jobs.get_mut(&repo.job)
                    && job.paused.remove(&repo.index)
                {
                    job.queued.push_back(repo.index);
                }
            }
            Event::NoSpace(repo) => {
                self.waiting_for_space = true;
                self.queue_again(&repo, &mut effects);
            }
            Event::SpaceAgain => self.waiting_for_space = false,
            Event::CancelBegun(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.held = true;
                }
            }
            Event::CancelAsked(id) => {
                self.cancel(&id, &mut effects);
                self.finish_if_done(&id, &mut effects);
            }
            Event::Discarded(id, count) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.discarding = job.discarding.saturating_sub(count);
                }
                self.finish_if_done(&id, &mut effects);
            }
            Event::Vanished(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.queued.clear();
                    job.paused.clear();
                }
                self.cancel(&id, &mut effects);
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.discarding = 0;
                }
                self.finish_if_done(&id, &mut effects);
            }
            Event::Limit(limit) => self.set_limit(limit),
            Event::StopAsked => {
                self.stopping = true;
                for (id, job) in &self.jobs {
                    // The next server requests the list again.
                    effects.extend(job.planning.then(|| Effect::StopPlanning(id.clone())));
                    // A cancelled job's shims have their orders already.
                    let running = job.running.iter().filter(|_| !job.cancelled);
                    effects.extend(running.map(|index| {
                        let repo = RepoKey { job: id.clone(), index: *index };
                        Effect::End(repo, OrderReason::Stop)
                    }));
                }
            }
        }
        self.fill(&mut effects);
        self.reclaim(&mut effects);
        effects
    }

    /// Starts nothing more of a job. Running shims are ordered first, because writing thousands of
    /// final states takes time.
    fn cancel(&mut self, id: &JobId, effects: &mut Vec<Effect>) {
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
        job.queued.extend(std::mem::take(&mut job.paused));
        if !job.queued.is_empty() {
            job.discarding += job.queued.len();
            effects.push(Effect::Discard(id.clone(), job.queued.drain(..).collect()));
        }
    }

    /// Queues no retry for a repository of a cancelled job.
    fn pause(&mut self, repo: &RepoKey, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&repo.job) else { return };
        if job.cancelled {
            job.discarding += 1;
            effects.push(Effect::Discard(repo.job.clone(), vec![repo.index]));
        } else {
            job.paused.insert(repo.index);
        }
    }

    fn queue_again(&mut self, repo: &RepoKey, effects: &mut Vec<Effect>) {
        if let Some(left) = self.leave(repo)
            && let Some(job) = self.jobs.get_mut(&repo.job)
        {
            if job.cancelled {
                job.discarding += 1;
                effects.push(Effect::Discard(repo.job.clone(), vec![repo.index]));
            } else if left.was_yielding {
                // Repositories that have not been started yet come first.
                job.queued.push_back(repo.index);
            } else {
                job.queued.push_front(repo.index);
            }
        }
        self.finish_if_done(&repo.job, effects);
    }

    fn finish_if_done(&mut self, id: &JobId, effects: &mut Vec<Effect>) {
        let done = |job: &Job| {
            job.queued.is_empty()
                && job.running.is_empty()
                && job.paused.is_empty()
                && job.discarding == 0
                && !job.planning
        };
        if self.jobs.get(id).is_some_and(done) {
            self.jobs.remove(id);
            self.turns.retain(|turn| turn != id);
            effects.push(Effect::Finish(id.clone()));
        }
    }

    /// Gives free slots to the jobs with the fewest running scans, in the order of their turns. A
    /// job gets no more than its share, even if a slot stays free.
    fn fill(&mut self, effects: &mut Vec<Effect>) {
        let halted = self.stopping || self.waiting_for_space;
        while !halted && self.running < self.limit {
            let waiting = self.turns.iter().enumerate().filter_map(|(position, id)| {
                let has_room = |job: &&Job| job.running.len() < job.share && !job.held;
                let job =
                    self.jobs.get(id).filter(has_room).filter(|job| !job.queued.is_empty())?;
                Some((job.running.len(), position))
            });
            let Some((_, position)) = waiting.min() else { return };
            let Some(id) = self.turns.remove(position) else { return };
            self.turns.push_back(id.clone());
            if let Some(job) = self.jobs.get_mut(&id)
                && let Some(index) = job.queued.pop_front()
            {
                job.running.insert(index);
                self.running += 1;
                effects.push(Effect::Spawn(RepoKey { job: id, index }));
            }
        }
    }
}

#[cfg(test)]
mod tests;
