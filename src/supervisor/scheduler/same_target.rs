//! The same repository is never scanned twice at once.
//!
//! Input: the keys of the repositories of each job, and which of them run. Output: whether a
//! repository has to wait for another one with the same key.
//!
//! Invariants: a repository waits only while another one with its key holds a slot, and holds none
//! meanwhile; it returns to the front of its job's queue when that slot is released, however that
//! scan ended; a repository without a known key never waits.

use super::{Effect, Scheduler};
use crate::{
    model::{JobId, target_key::TargetKey},
    supervisor::RepoKey,
};
use std::collections::HashMap;

/// Which targets run, and which repositories wait for them.
#[derive(Debug, Default)]
pub(super) struct Targets {
    of: HashMap<JobId, HashMap<u32, TargetKey>>,
    /// The repositories whose shims scan each target: one, unless shims of an earlier server were adopted.
    running: HashMap<TargetKey, Vec<RepoKey>>,
    waiting: HashMap<TargetKey, Vec<RepoKey>>,
}

impl Targets {
    /// Adds the keys of repositories of a job.
    pub(super) fn add(&mut self, job: JobId, keys: Vec<(u32, TargetKey)>) {
        self.of.entry(job).or_default().extend(keys);
    }

    /// The job is finished.
    pub(super) fn remove(&mut self, job: &JobId) {
        self.of.remove(job);
    }

    fn key(&self, job: &JobId, index: u32) -> Option<TargetKey> {
        self.of.get(job)?.get(&index).copied()
    }

    /// The repository holds a slot.
    pub(super) fn begin(&mut self, repo: &RepoKey) {
        if let Some(key) = self.key(&repo.job, repo.index) {
            self.running.entry(key).or_default().push(repo.clone());
        }
    }

    /// The repository has released its slot. Returns the repositories that need not wait any more.
    fn end(&mut self, repo: &RepoKey) -> Vec<RepoKey> {
        let Some(key) = self.key(&repo.job, repo.index) else { return Vec::new() };
        if let Some(running) = self.running.get_mut(&key) {
            running.retain(|one| one != repo);
            if !running.is_empty() {
                return Vec::new();
            }
        }
        self.running.remove(&key);
        self.waiting.remove(&key).unwrap_or_default()
    }

    /// The repository with the same key that holds a slot. If there is one, this one is remembered
    /// until that slot is released.
    fn waits(&mut self, waiting: &RepoKey) -> Option<RepoKey> {
        let key = self.key(&waiting.job, waiting.index)?;
        let running = self.running.get(&key)?.first()?.clone();
        self.waiting.entry(key).or_default().push(waiting.clone());
        Some(running)
    }
}

impl Scheduler {
    /// Takes repositories out of the front of their queues that have to wait for the same one of
    /// another job. Jobs that have waited longer for a turn come first.
    pub(super) fn set_doubles_aside(&mut self, effects: &mut Vec<Effect>) {
        let Self { turns, jobs, targets, .. } = self;
        for id in &*turns {
            let Some(job) = jobs.get_mut(id).filter(|job| job.has_room()) else { continue };
            while let Some(index) = job.queued.front().copied() {
                let waiting = RepoKey { job: id.clone(), index };
                let Some(running) = targets.waits(&waiting) else { break };
                job.queued.pop_front();
                job.set_aside.insert(index);
                effects.push(Effect::NoteSame { waiting, running });
            }
        }
    }

    /// A repository has released its slot: those that wait for it are queued again.
    pub(super) fn release_target(&mut self, repo: &RepoKey) {
        // The one that has waited longest comes first in its job.
        for waiting in self.targets.end(repo).into_iter().rev() {
            // It may have been cancelled meanwhile.
            if let Some(job) = self.jobs.get_mut(&waiting.job)
                && job.set_aside.remove(&waiting.index)
            {
                job.queued.push_front(waiting.index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Event, Standing,
            tests::{id, repo, spawns, submit},
        },
        *,
    };
    use crate::model::master::Options;

    fn key(name: &str) -> TargetKey {
        TargetKey::of(&format!("https://git.example/{name}.git"), &Options::default())
    }

    fn targets(job: &str, names: &[&str]) -> Event {
        let keys = (0..).zip(names).map(|(index, name)| (index, key(name))).collect();
        Event::Targets(id(job), keys)
    }

    /// Submits a job of these repositories; what is started.
    fn submit_named(queue: &mut Scheduler, job: &str, names: &[&str]) -> Vec<String> {
        queue.on(targets(job, names));
        spawns(&queue.on(submit(job, u32::try_from(names.len()).unwrap())))
    }

    /// Fails if a repository is scanned twice at once, if the second scan never starts, or if it holds
    /// a slot while it waits.
    #[test]
    fn a_repository_waits_without_a_slot_until_the_same_one_is_finished() {
        let mut queue = Scheduler::new(3);
        assert_eq!(submit_named(&mut queue, "a", &["x", "y"]), ["a/0", "a/1"]);
        assert_eq!(submit_named(&mut queue, "b", &["x", "z"]), ["b/1"], "z has no double");
        assert_eq!((queue.running(), queue.queued()), (3, 1));
        assert!(
            spawns(&queue.on(Event::Completed(repo("b", 1)))).is_empty(),
            "not finished: x waits"
        );
        assert!(submit_named(&mut queue, "c", &["x"]).is_empty());
        assert_eq!(
            spawns(&queue.on(Event::Completed(repo("a", 0)))),
            ["b/0"],
            "the longest waiting"
        );
        assert_eq!(queue.queued(), 1);
        let effects = queue.on(Event::Completed(repo("b", 0)));
        assert_eq!(effects[0], Effect::Finish(id("b")));
        assert_eq!(spawns(&effects), ["c/0"]);
    }

    /// Fails if a scan that ends without a result, in whatever way, keeps others waiting.
    #[test]
    fn every_end_of_a_scan_releases_its_target() {
        for end in
            [Event::Finished(repo("a", 0)), Event::Paused(repo("a", 0)), Event::Vanished(id("a"))]
        {
            let mut queue = Scheduler::new(2);
            submit_named(&mut queue, "a", &["x"]);
            assert!(submit_named(&mut queue, "b", &["x"]).is_empty());
            let vanished = matches!(end, Event::Vanished(_));
            let mut effects = queue.on(end.clone());
            if vanished {
                assert!(spawns(&effects).is_empty(), "its shim still runs");
                effects = queue.on(Event::Finished(repo("a", 0)));
            }
            assert_eq!(spawns(&effects), ["b/0"], "{end:?}");
        }
        // A scan that is repeated competes with the one that waited.
        let mut queue = Scheduler::new(2);
        submit_named(&mut queue, "a", &["x"]);
        submit_named(&mut queue, "b", &["x"]);
        assert_eq!(spawns(&queue.on(Event::Again(repo("a", 0)))).len(), 1);
        assert_eq!((queue.running(), queue.queued()), (1, 1));
    }

    /// Fails if a cancel of one job stops the scan of another, or if a cancelled repository that
    /// waited is scanned later.
    #[test]
    fn cancelling_one_job_leaves_the_same_repository_of_another() {
        let mut queue = Scheduler::new(2);
        submit_named(&mut queue, "a", &["x"]);
        submit_named(&mut queue, "b", &["x"]);
        submit_named(&mut queue, "c", &["x"]);
        let discarded = Effect::Discard(id("b"), vec![0]);
        assert_eq!(queue.on(Event::CancelAsked(id("b"))), [discarded]);
        queue.on(Event::Discarded(id("b"), 1));
        assert_eq!(spawns(&queue.on(Event::Completed(repo("a", 0)))), ["c/0"]);
        // And the other way round: the one that waits gets its turn when the running one is stopped.
        submit_named(&mut queue, "d", &["x"]);
        queue.on(Event::CancelAsked(id("c")));
        assert_eq!(spawns(&queue.on(Event::Finished(repo("c", 0)))), ["d/0"]);
    }

    /// Fails if a new server starts a repository whose shim, of another job, outlived the old one: the
    /// jobs are found one after the other.
    #[test]
    fn shims_that_outlive_their_server_keep_the_same_repository_waiting() {
        let mut queue = Scheduler::new(4);
        queue.on(Event::RecoveryBegun);
        assert!(submit_named(&mut queue, "a", &["x", "y"]).is_empty());
        queue.on(targets("b", &["x"]));
        let standing = Standing { running: vec![0], ..Standing::default() };
        queue.on(Event::Submitted(id("b"), standing));
        assert_eq!(spawns(&queue.on(Event::RecoveryDone)), ["a/1"]);
        assert_eq!(spawns(&queue.on(Event::Completed(repo("b", 0)))), ["a/0"]);
    }
}
