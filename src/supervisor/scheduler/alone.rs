//! Repositories that are scanned while nothing else is: the retries of those that ran out of memory.
//!
//! Input: such repositories among the queued ones. Output: their starts, and whether others have to
//! wait.
//!
//! Invariants: nothing runs beside such a repository. Others go first, twice as many as there are
//! slots; then nothing more starts until all running scans have ended. While a slow scan runs, others
//! go on for five times as long, and then that scan yields its slot: so nobody waits for longer than
//! a scan is allowed to be slow, plus the run itself.

use super::{Effect, Job, Scheduler};
use crate::{
    model::{JobId, attempt::OrderReason},
    supervisor::RepoKey,
};

/// How many other scans start before it, for each slot: at least, and while slow scans run.
const OTHERS_FIRST: usize = 2;
const OTHERS_WHILE_SLOW: usize = 10;

/// The repository that runs alone, and how many others have started since the last one did.
#[derive(Debug, Default)]
pub(super) struct Alone {
    running: Option<RepoKey>,
    others: usize,
}

impl Alone {
    /// A scan with others beside it starts.
    pub(super) fn note_other(&mut self) {
        self.others = self.others.saturating_add(1);
    }

    /// A scan has ended. Returns whether it ran alone.
    pub(super) fn end(&mut self, repo: &RepoKey) -> bool {
        let was_alone = self.running.as_ref() == Some(repo);
        if was_alone {
            self.running = None;
        }
        was_alone
    }
}

impl Scheduler {
    /// How many scans may run now.
    pub(super) fn in_use(&self) -> usize {
        self.slots.clamp(1, self.limit.max(1))
    }

    /// Gives a slot to a repository that has been taken from the queue.
    pub(super) fn begin(&mut self, repo: RepoKey, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&repo.job) else { return };
        job.running.insert(repo.index);
        let (host, label) = (job.host.clone(), job.label.clone());
        self.running += 1;
        self.note_at(host.as_ref(), 1);
        self.labels.begin(label.as_ref(), 1);
        self.targets.begin(&repo);
        effects.push(Effect::Spawn(repo));
    }

    /// The pause of a repository has ended that is to be scanned alone.
    pub(super) fn queue_alone(&mut self, repo: &RepoKey) {
        if let Some(job) = self.jobs.get_mut(&repo.job) {
            job.alone.extend(job.paused.take(&repo.index));
        }
    }

    /// A repository was being scanned alone when the server started.
    pub(super) fn adopt_alone(&mut self, job: &JobId, index: Option<u32>) {
        let repo = index.map(|index| RepoKey { job: job.clone(), index });
        self.alone.running = self.alone.running.take().or(repo);
    }

    /// Whether a repository is being scanned alone.
    pub(in crate::supervisor) fn runs_alone(&self) -> bool {
        self.alone.running.is_some()
    }

    /// Starts a repository that is to be scanned alone if its time has come. Returns whether nothing
    /// else may start.
    pub(super) fn starts_alone(&mut self, effects: &mut Vec<Effect>) -> bool {
        if self.runs_alone() {
            return true;
        }
        let next = self.turns.iter().find_map(|id| {
            let may_start = |job: &&Job| !job.held && !job.suspended && self.has_place(job);
            let job = self.jobs.get(id).filter(may_start)?;
            let index = *job.alone.first()?;
            Some(RepoKey { job: id.clone(), index })
        });
        let Some(repo) = next else {
            // Only what starts while such a repository waits goes before it.
            self.alone.others = 0;
            return false;
        };
        let slots = self.in_use();
        let others_wait = self.jobs.values().any(|job| job.may_start() && self.has_place(job));
        let had_their_turn = self.alone.others >= OTHERS_FIRST * slots;
        if self.running == 0 && (had_their_turn || !others_wait) {
            self.alone.others = 0;
            self.alone.running = Some(repo.clone());
            if let Some(job) = self.jobs.get_mut(&repo.job) {
                job.alone.remove(&repo.index);
            }
            self.turns.retain(|id| *id != repo.job);
            self.turns.push_back(repo.job.clone());
            self.begin(repo, effects);
            return true;
        }
        let is_slow = self.jobs.values().any(|job| !job.slow.is_empty());
        let is_urgent = self.alone.others >= OTHERS_WHILE_SLOW * slots;
        if is_slow && is_urgent {
            self.end_slow(effects);
        }
        // What runs ends first.
        had_their_turn && (!is_slow || is_urgent)
    }

    /// Orders the slow scans to yield their slots, each once in its life.
    fn end_slow(&mut self, effects: &mut Vec<Effect>) {
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| !job.cancelled) {
            for index in &job.slow {
                if job.yielded.insert(*index) {
                    job.yielding.insert(*index);
                    let repo = RepoKey { job: id.clone(), index: *index };
                    effects.push(Effect::End(repo, OrderReason::Yield));
                }
            }
        }
    }
}
