use super::super::{
    Event, Scheduler, Standing,
    tests::{id, repo, spawns, submit},
};
use crate::{model::JobId, supervisor::RepoKey};
use proptest::{collection::vec, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

fn job(name: &str, of: &str, count: u32, single: bool) -> Event {
    let queued = (0..count).collect();
    Event::Submitted(
        id(name),
        Standing { queued, single, user: Some(of.into()), ..Standing::default() },
    )
}

fn single(name: &str) -> Event {
    let standing = Standing { queued: vec![0], single: true, ..Standing::default() };
    Event::Submitted(id(name), standing)
}

fn weights(list: &[(&str, u32)]) -> Event {
    Event::Weights(list.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect())
}

/// Fails if a single repository waits behind groups: those that hold slots, or those that hold none.
#[test]
fn a_single_repository_gets_the_next_free_slot_before_thousands_in_groups() {
    let mut queue = Scheduler::new(3);
    for group in ["a", "b", "c", "d", "e", "f"] {
        queue.on(submit(group, 5_000));
    }
    assert!(spawns(&queue.on(single("one"))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Completed(repo("a", 0)))), ["one/0"]);
    // Also for a user of whom another single repository runs, as far as the user's share goes.
    queue.on(single("two"));
    queue.on(single("three"));
    let next = spawns(&queue.on(Event::Completed(repo("a", 1))));
    assert_eq!(next, ["b/0"], "after a single repository it is the turn of a group");
    assert_eq!(spawns(&queue.on(Event::Completed(repo("a", 2)))), ["two/0"]);
}

/// Fails if single repositories that never cease keep groups from being scanned, or the other way
/// round.
#[test]
fn endless_single_repositories_and_groups_alternate() {
    let mut queue = Scheduler::new(1);
    let mut running = spawns(&queue.on(submit("group", 1_000)));
    let mut next = 0;
    let mut groups = 0;
    for _ in 0..100 {
        // Two new ones for each slot.
        for _ in 0..2 {
            queue.on(single(&format!("s{next}")));
            next += 1;
        }
        let done = parse(&running.remove(0));
        groups += usize::from(done.job == id("group"));
        running = spawns(&queue.on(Event::Completed(done)));
        assert_eq!(running.len(), 1);
    }
    assert_eq!(groups, 50);
}

/// Fails if a user with many single repositories gets more than the user's weight allows.
#[test]
fn single_repositories_beyond_the_share_of_their_user_wait_like_groups() {
    let mut queue = Scheduler::new(4);
    queue.on(weights(&[("heavy", 3)]));
    queue.on(job("group", "heavy", 10_000, false));
    for number in 0..400 {
        queue.on(job(&format!("s{number}"), "light", 1, true));
    }
    let held = simulate(&mut queue, 1_000, 7);
    assert!((held["heavy"] - 3.0).abs() < 0.2, "{held:?}");
}

/// Fails if a job that is suspended is started, or if it is finished although something of it waits.
#[test]
fn a_suspended_job_starts_nothing_and_is_not_finished() {
    let mut queue = Scheduler::new(2);
    queue.on(submit("a", 4));
    queue.on(Event::Suspended(id("a")));
    assert!(queue.on(Event::Completed(repo("a", 0))).is_empty());
    assert!(queue.on(Event::Paused(repo("a", 1))).is_empty());
    assert!(queue.on(Event::PauseEnded(repo("a", 1))).is_empty(), "no retries either");
    assert_eq!((queue.running(), queue.queued()), (0, 3));
    assert_eq!(spawns(&queue.on(submit("b", 1))), ["b/0"], "its slots are free for others");
    assert_eq!(spawns(&queue.on(Event::Resumed(id("a")))), ["a/2"]);
    queue.on(Event::Suspended(id("a")));
    queue.on(Event::Completed(repo("a", 2)));
    let effects = queue.on(Event::CancelAsked(id("a")));
    assert_eq!(effects.len(), 1, "it can be cancelled: {effects:?}");
    // A job that is found suspended starts nothing.
    let standing = Standing { queued: vec![0], suspended: true, ..Standing::default() };
    assert!(queue.on(Event::Submitted(id("c"), standing)).is_empty());
}

/// Fails if a bumped job is not the next one of its user, or if it passes those of another user.
#[test]
fn a_bumped_job_is_the_first_of_its_user() {
    let mut queue = Scheduler::new(1);
    for (name, of) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")] {
        queue.on(job(name, of, 3, false));
    }
    queue.on(Event::Bumped(id("a2"), 1));
    queue.on(Event::Bumped(id("a3"), 2));
    let mut last = repo("a1", 0);
    let mut next = |queue: &mut Scheduler| {
        last = parse(&spawns(&queue.on(Event::Completed(last.clone())))[0]);
        last.to_string()
    };
    let mut started: Vec<String> = (0..4).map(|_| next(&mut queue)).collect();
    assert_eq!(started.iter().filter(|repo| repo.starts_with("b1/")).count(), 2, "{started:?}");
    started.retain(|repo| repo.starts_with('a'));
    assert_eq!(started, ["a3/0", "a3/1"]);
    // The last one counts; to bump it again changes nothing.
    for _ in 0..2 {
        queue.on(Event::Bumped(id("a2"), 3));
    }
    let mut started: Vec<String> = (0..6).map(|_| next(&mut queue)).collect();
    started.retain(|repo| repo.starts_with('a'));
    assert_eq!(started[..3], ["a2/0", "a2/1", "a2/2"]);
    assert_eq!(started[3], "a3/2", "the one that was bumped before");
}

/// Fails if long scans give a user more slots than its share while others wait.
#[test]
fn a_user_with_long_scans_holds_no_more_than_its_share() {
    let mut queue = Scheduler::new(5);
    queue.on(job("long", "long", 1_000, false));
    for number in 0..9 {
        queue.on(job(&format!("g{number}"), &format!("u{number}"), 1_000, false));
    }
    // The first five slots went to the only job that there was. Its scans end one by one.
    let mut left: Vec<RepoKey> = (0..5).map(|index| repo("long", index)).collect();
    let mut others: Vec<RepoKey> = Vec::new();
    while left.len() > 1 {
        others.extend(
            spawns(&queue.on(Event::Completed(left.remove(0)))).iter().map(|text| parse(text)),
        );
    }
    for _ in 0..200 {
        let done = others.remove(0);
        let next = spawns(&queue.on(Event::Completed(done)));
        assert!(next.iter().all(|text| !text.starts_with("long/")), "it holds a slot already");
        others.extend(next.iter().map(|text| parse(text)));
    }
}

/// Fails if the slots are not shared by weight, whatever their number: also fewer than users.
#[test]
fn users_share_the_slots_by_their_weights() {
    for slots in [1, 2, 3, 5, 8, 16] {
        let mut queue = Scheduler::new(slots);
        queue.on(weights(&[("a", 4), ("b", 2)]));
        for (name, of) in [("a1", "a"), ("b1", "b"), ("b2", "b"), ("c1", "c"), ("c2", "c")] {
            queue.on(job(name, of, 100_000, false));
        }
        let held = simulate(&mut queue, 8_000, slots as u64);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let slots = slots as f64;
        for (name, weight) in [("a", 4.0), ("b", 2.0), ("c", 1.0)] {
            let expected = slots * weight / 7.0;
            let off = (held[name] - expected).abs() / expected;
            assert!(off < 0.1, "{name} of {slots}: {:.3}, expected {expected:.3}", held[name]);
        }
    }
}

/// Finishes scans in a random order; how many slots the first letter of the jobs (their user) held on
/// average, once the first slots have been given back.
fn simulate(queue: &mut Scheduler, steps: u32, seed: u64) -> BTreeMap<String, f64> {
    let mut state = seed | 1;
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for step in 0..steps {
        let running: Vec<(RepoKey, String)> = running(queue);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let at = usize::try_from(state >> 33).unwrap() % running.len();
        queue.on(Event::Completed(running[at].0.clone()));
        if step >= steps / 10 {
            for (_, user) in running {
                *sums.entry(user).or_default() += 1.0;
            }
        }
    }
    let counted = f64::from(steps - steps / 10);
    sums.into_iter().map(|(user, sum)| (user, sum / counted)).collect()
}

/// The running repositories, with their users.
fn running(queue: &Scheduler) -> Vec<(RepoKey, String)> {
    let mut running: Vec<(RepoKey, String)> = Vec::new();
    for (id, job) in &queue.jobs {
        let name = job.user.as_deref().unwrap_or_default();
        let keys = job.running.iter().map(|index| RepoKey { job: id.clone(), index: *index });
        running.extend(keys.map(|key| (key, name.to_owned())));
    }
    running.sort();
    running
}

fn parse(text: &str) -> RepoKey {
    let (job, index) = text.split_once('/').unwrap();
    repo(job, index.parse().unwrap())
}

#[derive(Debug, Clone)]
enum Step {
    Submit { user: u8, count: u32, single: bool },
    Finish(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let submit = (0..4_u8, 1..12_u32, any::<bool>())
        .prop_map(|(user, count, single)| Step::Submit { user, count, single });
    let finish = any::<usize>().prop_map(Step::Finish);
    vec(prop_oneof![1 => submit, 3 => finish], 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Fails if, in any history, more scans run than slots exist, a slot stays free while something
    /// waits, or a job never gets its turn.
    #[test]
    fn no_slot_is_wasted_and_no_job_starves(
        slots in 1..6_usize,
        heavy in 1..6_u32,
        steps in steps(),
    ) {
        let mut queue = Scheduler::new(slots);
        queue.on(weights(&[("u0", heavy)]));
        let mut passed_over: BTreeMap<JobId, usize> = BTreeMap::new();
        let mut number = 0;
        for step in steps {
            let effects = match step {
                Step::Submit { user, count, single } => {
                    number += 1;
                    let count = if single { 1 } else { count };
                    queue.on(job(&format!("j{number}"), &format!("u{user}"), count, single))
                }
                Step::Finish(at) => {
                    let running = running(&queue);
                    if running.is_empty() {
                        continue;
                    }
                    queue.on(Event::Completed(running[at % running.len()].0.clone()))
                }
            };
            let started: BTreeSet<JobId> =
                spawns(&effects).iter().map(|text| parse(text).job).collect();
            prop_assert!(queue.running() <= slots);
            prop_assert!(queue.running() == slots || queue.queued() == 0);
            passed_over.retain(|id, _| queue.jobs.get(id).is_some_and(|job| !job.queued.is_empty()));
            for (id, job) in &queue.jobs {
                if job.queued.is_empty() {
                    continue;
                }
                let count = passed_over.entry(id.clone()).or_default();
                *count = if started.contains(id) { 0 } else { *count + spawns(&effects).len() };
                // A turn of each job of the user, for each of them the turns of all other users by
                // weight, and as many of single repositories in between.
                let bound = 2 * (number + 1) * (heavy as usize + 4);
                prop_assert!(*count <= bound, "{id} waited for {count} turns");
            }
        }
    }
}
