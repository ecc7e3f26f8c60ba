//! The rules of the queue, with no clock, no process and no runtime in them.
//!
//! A slot that gets free goes to the job with the fewest running, and jobs that are even take
//! turns: a small job is not starved by a group of thousands. Nor is it by scans that take long: where no
//! slot is free, a job without one gets it from a job that holds several and has a slow scan among
//! them, which is ended and queued again, once in its life. How many slots a job may hold is its
//! share: slow scans that complete nothing halve it, each completed one adds one
//! (docs/decisions/0012-slow-jobs-give-back-slots.md).

mod shares;

use super::RepoKey;
use crate::model::{JobId, attempt::OrderReason};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Everything that can happen. A closed list: to learn what drives the queue, read this enum.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// A job, new or found at start.
    Submitted(JobId, Standing),
    /// The forge has said which repositories a job has. The ends of so many more, which are not
    /// to be started, are being written.
    Planned {
        job: JobId,
        queued: Vec<u32>,
        ending: usize,
    },
    /// The forge did not say it: the job has no repositories.
    PlanFailed(JobId),
    /// A shim is gone, and its repository is over.
    Over(RepoKey),
    /// A shim is gone, and its repository has been scanned.
    Completed(RepoKey),
    /// A scan has been running for so long that its slot is worth asking for.
    Slow(RepoKey),
    /// A shim is gone, and its repository is to be scanned again.
    Again(RepoKey),
    /// A shim is gone, and its repository is to be tried again, but not yet.
    Paused(RepoKey),
    /// Now it is to be tried again.
    PauseOver(RepoKey),
    /// The disk is too full to start this one: it and all others wait.
    NoSpace(RepoKey),
    SpaceAgain,
    /// Somebody wants the job to end, and that is being written: nothing more of it is started.
    CancelBegun(JobId),
    /// It is written.
    CancelAsked(JobId),
    /// The ends of so many repositories, which are not to be started, are written.
    Discarded(JobId, usize),
    /// A job's folder is gone, or about to go: there is nothing to write into.
    Vanished(JobId),
    StopAsked,
}

/// Where a job stands when the queue first hears of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    pub(super) queued: Vec<u32>,
    /// Those whose shims live already.
    pub(super) running: Vec<u32>,
    /// Those that are tried again later.
    pub(super) paused: Vec<u32>,
    /// How many are not to be started, and have their ends written.
    pub(super) ending: usize,
    /// Nothing of it is started.
    pub(super) cancelled: bool,
    /// Its repositories are still to be found out.
    pub(super) planning: bool,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Spawn(RepoKey),
    /// Tell a running shim to end.
    End(RepoKey, OrderReason),
    /// Write the ends of repositories that will not be started.
    Discard(JobId, Vec<u32>),
    /// Its repositories need not be found out any more.
    StopPlanning(JobId),
    /// Every repository of the job is over.
    Finish(JobId),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Scheduler {
    limit: usize,
    jobs: HashMap<JobId, Job>,
    /// The jobs in the order of their turns.
    turns: VecDeque<JobId>,
    running: usize,
    stopping: bool,
    /// Nothing is started until there is space.
    waiting_for_space: bool,
}

#[derive(Debug, Default)]
struct Job {
    queued: VecDeque<u32>,
    running: BTreeSet<u32>,
    /// How many slots it may hold, from 1 to the limit.
    share: usize,
    /// Of those running the slow ones, the last to become so behind the others.
    slow: Vec<u32>,
    /// Which of those running have been told to give their slot back.
    yielding: BTreeSet<u32>,
    /// Which have been told so at any time, and are not told again.
    yielded: BTreeSet<u32>,
    /// Between two tries: they have no slot, and no place in the queue.
    paused: BTreeSet<u32>,
    /// How many ends are being written of those that are not to be started.
    discarding: usize,
    cancelled: bool,
    /// A cancel is being written.
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

    /// How many repositories wait.
    pub(super) fn queued(&self) -> usize {
        self.jobs.values().map(|job| job.queued.len()).sum()
    }

    /// Whether the queue stands still for want of space.
    pub(super) fn waits_for_space(&self) -> bool {
        self.waiting_for_space
    }

    /// Takes in what happened, says what is to be done.
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
                self.finish_if_over(&job, &mut effects);
            }
            Event::Planned { job: id, queued, ending } => {
                if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.planning) {
                    job.planning = false;
                    job.queued = queued.into();
                    job.discarding += ending;
                }
                self.finish_if_over(&id, &mut effects);
            }
            Event::PlanFailed(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.planning = false;
                }
                self.finish_if_over(&id, &mut effects);
            }
            Event::Over(repo) => {
                self.leave_unscanned(&repo);
                self.finish_if_over(&repo.job, &mut effects);
            }
            Event::Completed(repo) => {
                self.leave(&repo);
                if let Some(job) = self.jobs.get_mut(&repo.job) {
                    job.share = self.limit.min(job.share + 1);
                }
                self.finish_if_over(&repo.job, &mut effects);
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
            Event::PauseOver(repo) => {
                // What has not failed yet comes first.
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
                self.finish_if_over(&id, &mut effects);
            }
            Event::Discarded(id, count) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.discarding = job.discarding.saturating_sub(count);
                }
                self.finish_if_over(&id, &mut effects);
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
                self.finish_if_over(&id, &mut effects);
            }
            Event::StopAsked => {
                self.stopping = true;
                for (id, job) in &self.jobs {
                    // The next server asks anew.
                    effects.extend(job.planning.then(|| Effect::StopPlanning(id.clone())));
                    // A cancelled one has its order already.
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

    /// Nothing more of a job is started. What runs is told first: to write thousands of ends takes
    /// its time.
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

    /// A repository of a job that is cancelled has no next try.
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
                // What has not been started yet comes first.
                job.queued.push_back(repo.index);
            } else {
                job.queued.push_front(repo.index);
            }
        }
        self.finish_if_over(&repo.job, effects);
    }

    fn finish_if_over(&mut self, id: &JobId, effects: &mut Vec<Effect>) {
        let over = |job: &Job| {
            job.queued.is_empty()
                && job.running.is_empty()
                && job.paused.is_empty()
                && job.discarding == 0
                && !job.planning
        };
        if self.jobs.get(id).is_some_and(over) {
            self.jobs.remove(id);
            self.turns.retain(|it| it != id);
            effects.push(Effect::Finish(id.clone()));
        }
    }

    /// Gives free slots to the jobs with the fewest running, in the order of their turns. A job
    /// gets no more than its share, even if a slot stays free.
    fn fill(&mut self, effects: &mut Vec<Effect>) {
        let halted = self.stopping || self.waiting_for_space;
        while !halted && self.running < self.limit {
            let waiting = self.turns.iter().enumerate().filter_map(|(position, id)| {
                let has_room = |job: &&Job| job.running.len() < job.share && !job.held;
                let job = self.jobs.get(id).filter(has_room).filter(|it| !it.queued.is_empty())?;
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
