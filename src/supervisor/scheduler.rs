//! The scheduler: the rules of the queue as pure code, without clock, processes or runtime.
//!
//! Input: events. Output: effects.
//!
//! Invariants: a free slot goes to a single repository before a group, and to users by their weights
//! (`priority`), so that a group of thousands starves nobody. Long scans do not starve a job either:
//! if no slot is free, a job without one gets a slot from a job that holds several and has a slow
//! scan among them; that scan is stopped and queued again, once in its life.
//! The number of slots that a job may hold is its share: slow scans that complete nothing halve it,
//! each completed scan adds one (docs/decisions/0012-slow-jobs-give-back-slots.md). A host may accept
//! fewer scans at once (`hosts`); what ran out of memory is scanned while nothing else is (`alone`).
//! The same repository is never scanned twice at once (`same_target`). A suspended job starts nothing.

mod alone;
mod events;
mod hosts;
mod labels;
mod priority;
mod queue_order;
mod requeue;
mod same_target;
mod shares;
mod user_shares;

pub(super) use events::{Effect, Event, Standing};
pub(super) use labels::Label;
pub(super) use queue_order::{WaitingJob, expected_order};
pub(super) use user_shares::{User, Weights};

use super::{RepoKey, throttling::Host};
use crate::model::{JobId, attempt::OrderReason};
use alone::Alone;
use labels::Labels;
use priority::Priority;
use same_target::Targets;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The queue.
#[derive(Debug)]
pub(super) struct Scheduler {
    limit: usize,
    /// How many slots are in use, from 1 to the limit.
    slots: usize,
    /// Hosts that accept a limited number of scans at once.
    host_limits: HashMap<Host, usize>,
    /// How many scans contact each host.
    running_at: HashMap<Host, usize>,
    labels: Labels,
    alone: Alone,
    jobs: HashMap<JobId, Job>,
    /// The jobs, in the order of their turns.
    turns: VecDeque<JobId>,
    running: usize,
    stopping: bool,
    /// Nothing is started until the disk has space.
    waiting_for_space: bool,
    /// Nothing is started until all jobs that were found at start are known.
    recovering: bool,
    priority: Priority,
    targets: Targets,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Job {
    user: User,
    single: bool,
    bumped: Option<i64>,
    queued: VecDeque<u32>,
    /// Queued repositories that wait until the same repository is not scanned any more.
    set_aside: BTreeSet<u32>,
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
    suspended: bool,
    planning: bool,
    /// Queued repositories that are to be scanned while nothing else is.
    alone: BTreeSet<u32>,
    host: Option<Host>,
    label: Option<Label>,
}

impl Scheduler {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: limit,
            host_limits: HashMap::new(),
            running_at: HashMap::new(),
            labels: Labels::default(),
            alone: Alone::default(),
            jobs: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            stopping: false,
            waiting_for_space: false,
            recovering: false,
            priority: Priority::default(),
            targets: Targets::default(),
        }
    }

    /// How many shims run.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many repositories are queued.
    pub(super) fn queued(&self) -> usize {
        let queued = |job: &Job| job.queued.len() + job.set_aside.len() + job.alone.len();
        self.jobs.values().map(queued).sum()
    }

    /// Whether the queue waits for space on the disk.
    pub(super) fn waits_for_space(&self) -> bool {
        self.waiting_for_space
    }

    /// Whether nothing may be started now.
    fn is_halted(&self) -> bool {
        self.stopping || self.waiting_for_space || self.recovering
    }

    /// Takes in an event and returns the effects.
    pub(super) fn on(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::RecoveryBegun => self.recovering = true,
            Event::RecoveryDone => self.recovering = false,
            Event::Targets(job, keys) => self.targets.add(job, keys),
            Event::IsSingle(id) => self.change(&id, |job| job.single = true),
            Event::Suspended(id) => self.change(&id, |job| job.suspended = true),
            Event::Resumed(id) => self.change(&id, |job| job.suspended = false),
            Event::Bumped(id, at) => self.change(&id, |job| job.bumped = Some(at)),
            Event::Weights(weights) => self.set_weights(weights),
            Event::Submitted(job, standing) => {
                self.running += standing.running.len();
                self.note_at(standing.host.as_ref(), standing.running.len());
                self.adopt_alone(&job, standing.running_alone);
                self.labels.begin(standing.label.as_ref(), standing.running.len());
                for index in &standing.running {
                    self.targets.begin(&RepoKey { job: job.clone(), index: *index });
                }
                let entry = Job {
                    user: standing.user,
                    single: standing.single,
                    suspended: standing.suspended,
                    bumped: standing.bumped,
                    queued: standing.queued.into(),
                    alone: standing.alone.into_iter().collect(),
                    host: standing.host,
                    label: standing.label,
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
                self.change(&id, |job| job.planning = false);
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
            Event::PauseEndedAlone(repo) => self.queue_alone(&repo),
            Event::NoSpace(repo) => {
                self.waiting_for_space = true;
                self.queue_again(&repo, &mut effects);
            }
            Event::SpaceAgain => self.waiting_for_space = false,
            Event::CancelBegun(id) => self.change(&id, |job| job.held = true),
            Event::CancelAsked(id) => {
                self.cancel(&id, &mut effects);
                self.finish_if_done(&id, &mut effects);
            }
            Event::Discarded(id, count) => {
                self.change(&id, |job| job.discarding = job.discarding.saturating_sub(count));
                self.finish_if_done(&id, &mut effects);
            }
            Event::Vanished(id) => {
                self.change(&id, |job| {
                    job.queued.clear();
                    job.set_aside.clear();
                    job.paused.clear();
                    job.alone.clear();
                });
                self.cancel(&id, &mut effects);
                self.change(&id, |job| job.discarding = 0);
                self.finish_if_done(&id, &mut effects);
            }
            Event::Limit(limit) => self.set_limit(limit),
            Event::Slots(slots) => self.slots = slots,
            Event::HostLimits(limits) => self.host_limits = limits,
            Event::LabelLimits(limits) => self.labels.set_limits(limits),
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

    fn change(&mut self, id: &JobId, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(id) {
            change(job);
        }
    }

    fn finish_if_done(&mut self, id: &JobId, effects: &mut Vec<Effect>) {
        let done = |job: &Job| {
            job.queued.is_empty()
                && job.set_aside.is_empty()
                && job.running.is_empty()
                && job.paused.is_empty()
                && job.alone.is_empty()
                && job.discarding == 0
                && !job.planning
        };
        if self.jobs.get(id).is_some_and(done)
            && let Some(job) = self.jobs.remove(id)
        {
            self.turns.retain(|turn| turn != id);
            self.targets.remove(id);
            self.forget_user(&job.user);
            effects.push(Effect::Finish(id.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
