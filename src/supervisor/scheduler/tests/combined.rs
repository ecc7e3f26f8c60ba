//! All rules of the queue together, under generated events.

use super::super::*;
use crate::model::{master::Options, target_key::TargetKey};
use proptest::{collection::vec, prelude::*};
use std::collections::HashSet;

const JOBS: [&str; 4] = ["a", "b", "c", "d"];
const HOSTS: [&str; 2] = ["https://one.example", "https://two.example"];
/// Repositories of each job; those of equal numbers are the same in all jobs of one host.
const REPOSITORIES: u32 = 4;

/// What a shim reports, or what an operator wants.
#[derive(Debug, Clone, Copy)]
enum Action {
    Submit(usize),
    Complete(usize),
    Fail(usize),
    OutOfMemory(usize),
    Slow(usize),
    Suspend(usize),
    Resume(usize),
    Bump(usize),
    Cancel(usize),
    Limit(usize),
    Slots(usize),
    HostLimit(usize, usize),
}

fn action() -> impl Strategy<Value = Action> {
    let job = 0..JOBS.len();
    prop_oneof![
        3 => job.clone().prop_map(Action::Submit),
        6 => any::<usize>().prop_map(Action::Complete),
        2 => any::<usize>().prop_map(Action::Fail),
        3 => any::<usize>().prop_map(Action::OutOfMemory),
        2 => any::<usize>().prop_map(Action::Slow),
        1 => job.clone().prop_map(Action::Suspend),
        1 => job.clone().prop_map(Action::Resume),
        1 => job.clone().prop_map(Action::Bump),
        1 => job.prop_map(Action::Cancel),
        1 => (1..5_usize).prop_map(Action::Limit),
        1 => (1..5_usize).prop_map(Action::Slots),
        1 => (0..HOSTS.len(), 1..3_usize).prop_map(|(host, limit)| Action::HostLimit(host, limit)),
    ]
}

/// The queue, and what surrounds it.
struct World {
    queue: Scheduler,
    running: Vec<RepoKey>,
    /// Repositories that wait to be scanned alone.
    alone: HashSet<RepoKey>,
    open: HashSet<JobId>,
    submitted: HashSet<JobId>,
    host_limits: HashMap<Host, usize>,
    /// How many scans may run; more do after a number was lowered, until they end.
    most: usize,
}

fn host(job: &JobId) -> usize {
    usize::from(matches!(job.as_str(), "c" | "d"))
}

fn target(repo: &RepoKey) -> TargetKey {
    let url = format!("{}/r{}.git", HOSTS[host(&repo.job)], repo.index);
    TargetKey::of(&url, &Options::default())
}

impl World {
    fn on(&mut self, event: Event) {
        let mut effects: VecDeque<Effect> = self.queue.on(event).into();
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Spawn(repo) => {
                    let same = |other: &&RepoKey| target(other) == target(&repo);
                    assert!(self.running.iter().find(same).is_none(), "{repo} runs twice");
                    let is_alone = self.alone.remove(&repo);
                    assert!(!is_alone || self.running.is_empty(), "{repo} runs beside others");
                    assert!(!self.queue.runs_alone() || is_alone, "{repo} runs beside one alone");
                    self.running.push(repo);
                    assert!(self.running.len() <= self.most, "more than {}", self.most);
                }
                // The shim ends, and its scan is repeated.
                Effect::End(repo, OrderReason::Yield) => {
                    self.running.retain(|running| *running != repo);
                    effects.extend(self.queue.on(Event::Again(repo)));
                }
                Effect::End(..) | Effect::StopPlanning(_) | Effect::NoteSame { .. } => {}
                Effect::Discard(job, indices) => {
                    self.alone.retain(|repo| repo.job != job);
                    effects.extend(self.queue.on(Event::Discarded(job, indices.len())));
                }
                Effect::Finish(job) => {
                    assert!(self.running.iter().all(|repo| repo.job != job), "{job} is not done");
                    assert!(self.open.remove(&job), "{job} ended twice");
                }
            }
        }
    }

    /// Takes one of the running repositories.
    fn take(&mut self, any: usize) -> Option<RepoKey> {
        let count = self.running.len();
        (count > 0).then(|| self.running.swap_remove(any % count))
    }

    fn act(&mut self, action: Action) {
        let job = |number: usize| -> JobId { JOBS[number].parse().unwrap() };
        match action {
            Action::Submit(number) => {
                if self.submitted.insert(job(number)) {
                    self.open.insert(job(number));
                    let repos = (0..REPOSITORIES)
                        .map(|index| (index, target(&RepoKey { job: job(number), index })));
                    self.on(Event::Targets(job(number), repos.collect()));
                    let standing = Standing {
                        queued: (0..REPOSITORIES).collect(),
                        host: Some(HOSTS[host(&job(number))].into()),
                        user: Some(JOBS[number % 2].into()),
                        ..Standing::default()
                    };
                    self.on(Event::Submitted(job(number), standing));
                }
            }
            Action::Complete(any) => {
                if let Some(repo) = self.take(any) {
                    self.on(Event::Completed(repo));
                }
            }
            Action::Fail(any) => {
                if let Some(repo) = self.take(any) {
                    self.on(Event::Finished(repo));
                }
            }
            Action::OutOfMemory(any) => {
                if let Some(repo) = self.take(any) {
                    self.on(Event::Paused(repo.clone()));
                    if self.open.contains(&repo.job) {
                        self.alone.insert(repo.clone());
                    }
                    self.on(Event::PauseEndedAlone(repo));
                }
            }
            Action::Slow(any) => {
                let count = self.running.len();
                if count > 0 {
                    self.on(Event::Slow(self.running[any % count].clone()));
                }
            }
            Action::Suspend(number) => self.on(Event::Suspended(job(number))),
            Action::Resume(number) => self.on(Event::Resumed(job(number))),
            Action::Bump(number) => self.on(Event::Bumped(job(number), 1)),
            Action::Cancel(number) => {
                self.alone.retain(|repo| repo.job != job(number));
                self.on(Event::CancelAsked(job(number)));
            }
            Action::Limit(limit) => {
                self.most = limit;
                self.on(Event::Limit(limit));
            }
            Action::Slots(slots) => self.on(Event::Slots(slots)),
            Action::HostLimit(host, limit) => {
                self.host_limits.insert(HOSTS[host].into(), limit);
                self.on(Event::HostLimits(self.host_limits.clone()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Fails if the rules together lose a repository, scan one twice at once, let something run beside one that is
    /// to be alone, exceed the limit, or stand still although everything is resumed.
    #[test]
    fn every_job_ends_and_no_rule_breaks_another(actions in vec(action(), 0..80)) {
        let mut world = World {
            queue: Scheduler::new(4),
            running: Vec::new(),
            alone: HashSet::new(),
            open: HashSet::new(),
            submitted: HashSet::new(),
            host_limits: HashMap::new(),
            most: 4,
        };
        for action in actions {
            world.act(action);
        }
        for number in 0..JOBS.len() {
            world.act(Action::Submit(number));
            world.act(Action::Resume(number));
        }
        let mut steps = 0;
        while !world.open.is_empty() {
            prop_assert!(!world.running.is_empty(), "nothing runs, and {:?} are not finished", world.open);
            world.act(Action::Complete(steps));
            steps += 1;
            prop_assert!(steps < 1_000);
        }
        prop_assert_eq!((world.queue.running(), world.queue.queued()), (0, 0));
    }
}
