//! Fewer slots under pressure, hosts that throttle, and repositories that are scanned alone.

use super::*;

fn at_host(job: &str, count: u32, host: &str) -> Event {
    let queued = (0..count).collect();
    let standing = Standing { queued, host: Some(host.into()), ..Standing::default() };
    Event::Submitted(id(job), standing)
}

fn limits(of: &[(&str, usize)]) -> Event {
    Event::HostLimits(of.iter().map(|(host, scans)| ((*host).into(), *scans)).collect())
}

/// Fails if fewer slots disturb running scans, or if a share is lost with them.
#[test]
fn fewer_slots_let_running_scans_finish_and_more_are_used_at_once() {
    let mut queue = Scheduler::new(4);
    assert_eq!(spawns(&queue.on(submit("a", 20))).len(), 4);
    assert!(queue.on(Event::Slots(2)).is_empty());
    assert!(queue.on(Event::Completed(repo("a", 0))).is_empty());
    assert!(queue.on(Event::Completed(repo("a", 1))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Completed(repo("a", 2)))).len(), 1);
    assert_eq!(spawns(&queue.on(Event::Slots(4))).len(), 2);
    // A lowered limit, and a raised one.
    assert!(queue.on(Event::Limit(1)).is_empty());
    assert_eq!(spawns(&queue.on(Event::Limit(6))).len(), 2);
    assert_eq!(queue.running(), 6);
    assert!(queue.on(Event::Slots(0)).is_empty());
    for index in 3..8 {
        queue.on(Event::Completed(repo("a", index)));
    }
    assert_eq!(queue.running(), 1, "at least one");
}

/// Fails if slow scans are stopped for a job that would not get their slots.
#[test]
fn slow_scans_beyond_a_lowered_number_are_not_stopped() {
    let mut queue = all_slow();
    queue.on(Event::Slots(2));
    assert!(queue.on(submit("good", 2)).is_empty());
    for index in 0..3 {
        assert_eq!(
            yields(&queue.on(Event::Completed(repo("bad", index)))).len(),
            usize::from(index == 2)
        );
    }
}

/// Fails if a repository that waits for its host holds a slot or blocks another host.
#[test]
fn a_host_that_throttles_delays_only_its_own_repositories() {
    let mut queue = Scheduler::new(4);
    assert_eq!(spawns(&queue.on(at_host("a", 9, "one"))).len(), 4);
    assert_eq!(queue.running_at(&"one".into()), 4);
    assert!(queue.on(limits(&[("one", 0)])).is_empty());
    assert_eq!(spawns(&queue.on(at_host("b", 1, "two"))).len(), 0, "no slot is free yet");
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 0)))), ["b/0"]);
    for index in 1..4 {
        assert!(
            queue.on(Event::Finished(repo("a", index))).is_empty(),
            "the host is not contacted"
        );
    }
    assert_eq!(queue.running(), 1);
    assert_eq!(spawns(&queue.on(limits(&[("one", 2)]))), ["a/4", "a/5"]);
    assert_eq!(spawns(&queue.on(Event::Completed(repo("a", 4)))), ["a/6"]);
    assert_eq!(spawns(&queue.on(limits(&[]))).len(), 1);
    assert_eq!(queue.running_at(&"one".into()), 3);
}

/// Fails if slow scans of another host are stopped for a job whose host accepts nothing.
#[test]
fn a_job_that_waits_for_its_host_takes_no_slot_from_others() {
    let mut queue = all_slow();
    queue.on(limits(&[("one", 0)]));
    assert!(queue.on(at_host("good", 1, "one")).is_empty());
    assert_eq!(yields(&queue.on(limits(&[]))), ["bad/4"]);
}

/// A job whose repositories `alone` wait for their retries, beside its queued ones.
fn with_alone(job: &str, count: u32, alone: &[u32]) -> Event {
    let queued = (0..count).collect();
    Event::Submitted(id(job), Standing { queued, alone: alone.to_vec(), ..Standing::default() })
}

/// Fails if anything runs beside a repository that ran out of memory, if it waits for ever behind
/// others, or others behind such repositories.
#[test]
fn what_ran_out_of_memory_runs_alone_after_some_others_and_before_the_rest() {
    let mut queue = Scheduler::new(2);
    queue.on(with_alone("a", 40, &[90, 91]));
    assert_eq!((queue.running(), queue.queued()), (2, 40));
    let mut order = vec!["a/0".to_owned(), "a/1".to_owned()];
    let mut at = 0;
    while at < order.len() {
        let index = order[at].strip_prefix("a/").unwrap().parse().unwrap();
        at += 1;
        let alone = queue.runs_alone();
        assert!(!alone || queue.running() == 1, "nothing runs beside it");
        order.extend(spawns(&queue.on(Event::Completed(repo("a", index)))));
    }
    assert_eq!(order.len(), 42);
    let place = |name: &str| order.iter().position(|started| started == name).unwrap();
    assert_eq!((place("a/90"), place("a/91")), (4, 9), "{order:?}");
}

/// Fails if a repository waits for others although there are none, or loses its mark when it is
/// stopped or the disk is full.
#[test]
fn without_others_it_starts_at_once_and_stays_alone() {
    let mut queue = Scheduler::new(3);
    let standing = Standing { paused: vec![0, 1], ..Standing::default() };
    assert!(queue.on(Event::Submitted(id("a"), standing)).is_empty());
    assert_eq!(spawns(&queue.on(Event::PauseEndedAlone(repo("a", 0)))), ["a/0"]);
    assert!(queue.on(Event::PauseEnded(repo("a", 1))).is_empty(), "nothing starts beside it");
    assert!(queue.on(submit("b", 1)).is_empty());
    assert_eq!(spawns(&queue.on(Event::Again(repo("a", 0)))), ["a/1", "b/0"]);
    queue.on(Event::Finished(repo("a", 1)));
    assert_eq!(spawns(&queue.on(Event::Finished(repo("b", 0)))), ["a/0"]);
    assert!(queue.on(Event::NoSpace(repo("a", 0))).is_empty());
    assert_eq!(spawns(&queue.on(Event::SpaceAgain)), ["a/0"]);
    assert!(queue.runs_alone());
    assert_eq!(queue.on(Event::Finished(repo("a", 0))), [Effect::Finish(id("a"))]);
    assert!(!queue.runs_alone());
}

/// Fails if a slow scan makes everything else wait, or the repository wait for as long as it runs.
#[test]
fn a_slow_scan_delays_it_for_a_while_and_then_yields() {
    let mut queue = Scheduler::new(2);
    queue.on(with_alone("a", 100, &[900]));
    queue.on(Event::Slow(repo("a", 0)));
    let (mut running, mut started, mut ended) = (1, 2, Vec::new());
    while ended.is_empty() {
        let effects = queue.on(Event::Completed(repo("a", running)));
        ended = yields(&effects);
        if ended.is_empty() {
            running = spawns(&effects)[0].strip_prefix("a/").unwrap().parse().unwrap();
            started += 1;
            assert!(started < 100);
        } else {
            assert!(spawns(&effects).is_empty(), "what runs ends first");
        }
    }
    assert_eq!((ended, started), (vec!["a/0".to_owned()], 20));
    assert_eq!(spawns(&queue.on(Event::Again(repo("a", 0)))), ["a/900"]);
}

/// Fails if a cancelled job scans such a repository nevertheless, or is never finished.
#[test]
fn what_waits_to_run_alone_is_cancelled_and_dropped_with_its_job() {
    let mut queue = Scheduler::new(1);
    queue.on(with_alone("a", 1, &[5]));
    let effects = queue.on(Event::CancelAsked(id("a")));
    assert_eq!(effects[1], Effect::Discard(id("a"), vec![5]));
    queue.on(Event::Discarded(id("a"), 1));
    assert_eq!(queue.on(Event::Finished(repo("a", 0))), [Effect::Finish(id("a"))]);
    queue.on(with_alone("b", 1, &[5]));
    queue.on(Event::Vanished(id("b")));
    assert_eq!(queue.on(Event::Finished(repo("b", 0))), [Effect::Finish(id("b"))]);
}
