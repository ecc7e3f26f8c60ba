use super::*;

fn id(name: &str) -> JobId {
    name.parse().unwrap()
}

fn repo(job: &str, index: u32) -> RepoKey {
    RepoKey { job: id(job), index }
}

fn submit(job: &str, count: u32) -> Event {
    let queued = (0..count).collect();
    Event::Submitted(id(job), Standing { queued, ..Standing::default() })
}

fn spawns(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|it| match it {
            Effect::Spawn(repo) => Some(repo.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn no_more_than_the_limit_and_jobs_take_turns() {
    let mut queue = Scheduler::new(2);
    assert_eq!(spawns(&queue.on(submit("big", 100))), ["big/0", "big/1"]);
    assert!(spawns(&queue.on(submit("small", 2))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Over(repo("big", 0)))), ["small/0"]);
    assert_eq!(spawns(&queue.on(Event::Over(repo("big", 1)))), ["big/2"]);
    assert_eq!(spawns(&queue.on(Event::Over(repo("small", 0)))), ["small/1"]);
    let effects = queue.on(Event::Over(repo("small", 1)));
    assert_eq!(effects[0], Effect::Finish(id("small")));
    assert_eq!(queue.running(), 2);
}

#[test]
fn a_cancel_discards_what_waits_and_ends_what_runs() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    let effects = queue.on(Event::CancelAsked(id("a")));
    assert_eq!(
        effects,
        [Effect::End(repo("a", 0), OrderReason::Cancel), Effect::Discard(id("a"), vec![1, 2]),]
    );
    // A second wish does not signal again, and a death meanwhile is not a reason to go on.
    assert!(queue.on(Event::CancelAsked(id("a"))).is_empty());
    let effects = queue.on(Event::Again(repo("a", 0)));
    assert_eq!(effects, [Effect::Discard(id("a"), vec![0])]);
    // It is over when all ends are written.
    assert!(queue.on(Event::Discarded(id("a"), 2)).is_empty());
    assert_eq!(queue.on(Event::Discarded(id("a"), 1)), [Effect::Finish(id("a"))]);
}

/// Between the command and the write that makes it durable.
#[test]
fn nothing_of_a_job_whose_cancel_is_being_written_is_started() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    queue.on(submit("b", 1));
    assert!(queue.on(Event::CancelBegun(id("a"))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Over(repo("a", 0)))), ["b/0"]);
    assert!(queue.on(Event::Over(repo("b", 0))).contains(&Effect::Finish(id("b"))));
    assert_eq!(queue.running(), 0, "a slot is free, and stays so");
    assert_eq!(queue.on(Event::CancelAsked(id("a"))), [Effect::Discard(id("a"), vec![1, 2])]);
}

#[test]
fn nothing_of_a_job_that_was_cancelled_before_is_started() {
    let mut queue = Scheduler::new(5);
    let (queued, running) = (vec![1, 2], vec![0]);
    let standing = Standing { queued, running, cancelled: true, ..Standing::default() };
    let found = Event::Submitted(id("a"), standing);
    assert_eq!(
        queue.on(found),
        [Effect::End(repo("a", 0), OrderReason::Cancel), Effect::Discard(id("a"), vec![1, 2]),]
    );
    assert!(queue.on(Event::Discarded(id("a"), 2)).is_empty());
    assert_eq!(queue.on(Event::Over(repo("a", 0))), [Effect::Finish(id("a"))]);
    assert_eq!(queue.running(), 0);
}

#[test]
fn of_a_job_that_vanishes_no_end_is_waited_for_but_that_of_its_shims() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    queue.on(Event::CancelAsked(id("a")));
    assert!(queue.on(Event::Vanished(id("a"))).is_empty());
    assert_eq!(queue.on(Event::Over(repo("a", 0))), [Effect::Finish(id("a"))]);
    queue.on(submit("b", 2));
    let effects = queue.on(Event::Vanished(id("b")));
    assert_eq!(effects, [Effect::End(repo("b", 0), OrderReason::Cancel)]);
}

#[test]
fn what_is_to_be_scanned_again_comes_first_in_its_job() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    assert_eq!(spawns(&queue.on(Event::Again(repo("a", 0)))), ["a/0"]);
}

#[test]
fn living_shims_count_from_the_start() {
    let mut queue = Scheduler::new(2);
    let (queued, running) = (vec![2, 3], vec![0, 1]);
    let standing = Standing { queued, running, ..Standing::default() };
    assert!(queue.on(Event::Submitted(id("a"), standing)).is_empty());
    assert_eq!(spawns(&queue.on(Event::Over(repo("a", 1)))), ["a/2"]);
    // A doubled report does not free a slot twice.
    assert!(queue.on(Event::Over(repo("a", 1))).is_empty());
    assert_eq!((queue.running(), queue.queued()), (2, 1));
}

#[test]
fn a_stop_starts_nothing_more() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 2));
    assert_eq!(queue.on(Event::StopAsked), [Effect::End(repo("a", 0), OrderReason::Stop)]);
    assert!(queue.on(Event::Again(repo("a", 0))).is_empty());
}

#[test]
fn without_space_nothing_is_started_and_what_waits_can_be_cancelled() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 2));
    assert!(queue.on(Event::NoSpace(repo("a", 0))).is_empty());
    assert!(queue.on(submit("b", 1)).is_empty());
    assert_eq!((queue.running(), queue.queued()), (0, 3));
    assert_eq!(spawns(&queue.on(Event::SpaceAgain)), ["a/0"]);
    queue.on(Event::NoSpace(repo("a", 0)));
    let effects = queue.on(Event::CancelAsked(id("a")));
    assert_eq!(effects, [Effect::Discard(id("a"), vec![0, 1])]);
    queue.on(Event::Discarded(id("a"), 2));
    assert_eq!(spawns(&queue.on(Event::SpaceAgain)), ["b/0"]);
}

#[test]
fn between_two_tries_a_repository_has_no_slot_and_its_job_is_not_over() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    assert_eq!(spawns(&queue.on(Event::Paused(repo("a", 0)))), ["a/1"]);
    assert_eq!((queue.running(), queue.queued()), (1, 1));
    // Its next try comes after what has not been tried yet.
    assert!(queue.on(Event::PauseOver(repo("a", 0))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Over(repo("a", 1)))), ["a/2"]);
    assert_eq!(spawns(&queue.on(Event::Over(repo("a", 2)))), ["a/0"]);
    assert!(queue.on(Event::Paused(repo("a", 0))).is_empty(), "not over: it is tried again");
    assert_eq!(spawns(&queue.on(Event::PauseOver(repo("a", 0)))), ["a/0"]);
    // A pause that ends twice, or that nobody makes, starts nothing.
    assert!(queue.on(Event::PauseOver(repo("a", 0))).is_empty());
    assert_eq!(queue.on(Event::Over(repo("a", 0))), [Effect::Finish(id("a"))]);
    assert!(queue.on(Event::PauseOver(repo("a", 0))).is_empty());
}

#[test]
fn what_is_between_two_tries_is_cancelled_forgotten_and_left_to_the_next_server() {
    let paused = |job: &str| {
        let standing = Standing { paused: vec![0, 1], ..Standing::default() };
        Event::Submitted(id(job), standing)
    };
    let mut queue = Scheduler::new(5);
    assert!(queue.on(paused("a")).is_empty());
    let discarded = Effect::Discard(id("a"), vec![0, 1]);
    assert_eq!(queue.on(Event::CancelAsked(id("a"))), [discarded]);
    assert!(queue.on(Event::PauseOver(repo("a", 0))).is_empty());
    assert_eq!(queue.on(Event::Discarded(id("a"), 2)), [Effect::Finish(id("a"))]);

    queue.on(paused("b"));
    assert_eq!(queue.on(Event::Vanished(id("b"))), [Effect::Finish(id("b"))]);

    // One that fails after its job was cancelled has no next try.
    queue.on(submit("c", 1));
    queue.on(Event::CancelAsked(id("c")));
    let discarded = Effect::Discard(id("c"), vec![0]);
    assert_eq!(queue.on(Event::Paused(repo("c", 0))), [discarded]);

    queue.on(paused("d"));
    assert!(queue.on(Event::StopAsked).is_empty());
    assert!(queue.on(Event::PauseOver(repo("d", 0))).is_empty());
}

fn planning(job: &str) -> Event {
    Event::Submitted(id(job), Standing { planning: true, ..Standing::default() })
}

#[test]
fn a_job_that_is_being_planned_is_not_over_and_starts_when_its_plan_is_there() {
    let mut queue = Scheduler::new(1);
    assert!(queue.on(planning("a")).is_empty());
    let planned = Event::Planned { job: id("a"), queued: vec![0, 2], ending: 1 };
    assert_eq!(spawns(&queue.on(planned)), ["a/0"]);
    queue.on(Event::Over(repo("a", 0)));
    assert!(queue.on(Event::Over(repo("a", 2))).is_empty(), "an end is not written yet");
    assert_eq!(queue.on(Event::Discarded(id("a"), 1)), [Effect::Finish(id("a"))]);
}

#[test]
fn a_plan_that_fails_or_is_cancelled_ends_the_job_and_one_that_comes_late_is_nothing() {
    let mut queue = Scheduler::new(1);
    queue.on(planning("a"));
    assert_eq!(queue.on(Event::PlanFailed(id("a"))), [Effect::Finish(id("a"))]);
    queue.on(planning("b"));
    assert_eq!(
        queue.on(Event::CancelAsked(id("b"))),
        [Effect::StopPlanning(id("b")), Effect::Finish(id("b"))]
    );
    let late = Event::Planned { job: id("b"), queued: vec![0], ending: 0 };
    assert!(queue.on(late).is_empty());
    queue.on(planning("c"));
    assert_eq!(queue.on(Event::StopAsked), [Effect::StopPlanning(id("c"))]);
}

#[test]
fn a_job_without_anything_left_is_finished_at_once() {
    let mut queue = Scheduler::new(1);
    assert_eq!(queue.on(submit("a", 0)), [Effect::Finish(id("a"))]);
}

/// Five scans of one job that burn: slow, one after the other.
fn burning() -> Scheduler {
    let mut queue = Scheduler::new(5);
    queue.on(submit("bad", 20));
    for index in 0..5 {
        assert!(queue.on(Event::Slow(repo("bad", index))).is_empty(), "nobody waits");
    }
    queue
}

fn yields(effects: &[Effect]) -> Vec<String> {
    let yields = effects.iter().filter_map(|it| match it {
        Effect::End(repo, OrderReason::Yield) => Some(repo.to_string()),
        _ => None,
    });
    yields.collect()
}

#[test]
fn a_job_without_a_slot_gets_one_of_a_job_with_slow_scans() {
    let mut queue = burning();
    assert_eq!(yields(&queue.on(submit("good", 2))), ["bad/4"], "the last to become slow");
    // One slot is coming: no other scan is ordered to yield for the same job.
    assert!(queue.on(Event::Slow(repo("bad", 3))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Again(repo("bad", 4)))), ["good/0"]);
    assert_eq!(queue.queued(), 17, "what gave its slot back is queued again");
    // A slot stays free for others as long as the slow job has completed nothing.
    assert_eq!(spawns(&queue.on(Event::Completed(repo("good", 0)))), ["good/1"]);
    queue.on(Event::Completed(repo("good", 1)));
    assert_eq!(queue.running(), 4);
    assert_eq!(spawns(&queue.on(submit("next", 1))), ["next/0"], "at once");
    queue.on(Event::Completed(repo("next", 0)));
    // What completes gives the share back; what gave its slot back comes after all others.
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 0)))), ["bad/5", "bad/6"]);
    for index in 5..18 {
        queue.on(Event::Completed(repo("bad", index)));
    }
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 18)))), ["bad/4"]);
}

#[test]
fn each_job_that_waits_gets_a_slot_and_none_is_left_without() {
    let mut queue = burning();
    let mut told = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        told.extend(yields(&queue.on(submit(name, 3))));
    }
    assert_eq!(told, ["bad/4", "bad/3", "bad/2", "bad/1"], "it keeps one");
    for index in [4, 3, 2, 1] {
        assert_eq!(spawns(&queue.on(Event::Again(repo("bad", index)))).len(), 1);
    }
    // Once in its life: those that wait on have no more to ask for.
    assert!(queue.on(Event::Slow(repo("bad", 0))).is_empty());
    assert_eq!(queue.running(), 5);
}

#[test]
fn a_scan_gives_its_slot_back_once() {
    let mut queue = Scheduler::new(2);
    queue.on(submit("bad", 2));
    queue.on(Event::Slow(repo("bad", 0)));
    assert_eq!(yields(&queue.on(submit("a", 1))), ["bad/0"]);
    queue.on(Event::Again(repo("bad", 0)));
    queue.on(Event::Completed(repo("a", 0)));
    queue.on(Event::Completed(repo("bad", 1)));
    queue.on(submit("other", 2));
    queue.on(Event::Slow(repo("bad", 0)));
    queue.on(Event::Slow(repo("other", 0)));
    assert!(yields(&queue.on(submit("b", 1))).is_empty(), "each has one slot");
    queue.on(Event::Over(repo("other", 0)));
    assert_eq!(queue.running(), 2);
}

#[test]
fn slow_scans_that_complete_nothing_halve_the_share_of_their_job() {
    let mut queue = burning();
    queue.on(Event::Over(repo("bad", 0)));
    assert_eq!(queue.running(), 4, "two may run, four still do");
    queue.on(Event::Paused(repo("bad", 1)));
    queue.on(Event::Over(repo("bad", 2)));
    queue.on(Event::Over(repo("bad", 3)));
    assert_eq!(queue.running(), 1);
    assert_eq!(spawns(&queue.on(Event::Over(repo("bad", 4)))), ["bad/5"], "one at a time");
    // A failure that comes quickly halves nothing, and each completed scan adds one.
    assert_eq!(spawns(&queue.on(Event::Over(repo("bad", 5)))), ["bad/6"]);
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 6)))).len(), 2);
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 7)))).len(), 2);
    assert_eq!(queue.running(), 3);
}

#[test]
fn what_became_slow_and_is_gone_is_not_told_to_end() {
    let mut queue = burning();
    queue.on(Event::CancelAsked(id("bad")));
    assert!(yields(&queue.on(submit("good", 1))).is_empty(), "it is ended anyway");
    let mut queue = burning();
    queue.on(Event::StopAsked);
    assert!(yields(&queue.on(submit("good", 1))).is_empty());
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 2));
    queue.on(Event::Slow(repo("a", 0)));
    queue.on(Event::Completed(repo("a", 0)));
    assert!(queue.on(Event::Slow(repo("a", 0))).is_empty());
    assert!(yields(&queue.on(submit("b", 1))).is_empty(), "one slot is all it has");
}
