use super::*;

pub(super) fn id(name: &str) -> JobId {
    name.parse().unwrap()
}

pub(super) fn repo(job: &str, index: u32) -> RepoKey {
    RepoKey { job: id(job), index }
}

pub(super) fn submit(job: &str, count: u32) -> Event {
    let queued = (0..count).collect();
    Event::Submitted(id(job), Standing { queued, ..Standing::default() })
}

pub(super) fn spawns(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
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
    assert_eq!(spawns(&queue.on(Event::Finished(repo("big", 0)))), ["small/0"]);
    assert_eq!(spawns(&queue.on(Event::Finished(repo("big", 1)))), ["big/2"]);
    assert_eq!(spawns(&queue.on(Event::Finished(repo("small", 0)))), ["small/1"]);
    let effects = queue.on(Event::Finished(repo("small", 1)));
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
    // A second cancel does not signal again, and an interrupted scan is not queued again.
    assert!(queue.on(Event::CancelAsked(id("a"))).is_empty());
    let effects = queue.on(Event::Again(repo("a", 0)));
    assert_eq!(effects, [Effect::Discard(id("a"), vec![0])]);
    // The job is finished when all final states are written.
    assert!(queue.on(Event::Discarded(id("a"), 2)).is_empty());
    assert_eq!(queue.on(Event::Discarded(id("a"), 1)), [Effect::Finish(id("a"))]);
}

/// Between the command and the write that makes the cancel durable.
#[test]
fn a_job_starts_nothing_while_its_cancel_is_being_written() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    queue.on(submit("b", 1));
    assert!(queue.on(Event::CancelBegun(id("a"))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 0)))), ["b/0"]);
    assert!(queue.on(Event::Finished(repo("b", 0))).contains(&Effect::Finish(id("b"))));
    assert_eq!(queue.running(), 0, "the slot stays free");
    assert_eq!(queue.on(Event::CancelAsked(id("a"))), [Effect::Discard(id("a"), vec![1, 2])]);
}

#[test]
fn a_job_found_cancelled_starts_nothing() {
    let mut queue = Scheduler::new(5);
    let (queued, running) = (vec![1, 2], vec![0]);
    let standing = Standing { queued, running, cancelled: true, ..Standing::default() };
    let found = Event::Submitted(id("a"), standing);
    assert_eq!(
        queue.on(found),
        [Effect::End(repo("a", 0), OrderReason::Cancel), Effect::Discard(id("a"), vec![1, 2]),]
    );
    assert!(queue.on(Event::Discarded(id("a"), 2)).is_empty());
    assert_eq!(queue.on(Event::Finished(repo("a", 0))), [Effect::Finish(id("a"))]);
    assert_eq!(queue.running(), 0);
}

#[test]
fn a_vanished_job_waits_only_for_its_shims() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    queue.on(Event::CancelAsked(id("a")));
    assert!(queue.on(Event::Vanished(id("a"))).is_empty());
    assert_eq!(queue.on(Event::Finished(repo("a", 0))), [Effect::Finish(id("a"))]);
    queue.on(submit("b", 2));
    let effects = queue.on(Event::Vanished(id("b")));
    assert_eq!(effects, [Effect::End(repo("b", 0), OrderReason::Cancel)]);
}

#[test]
fn a_requeued_repository_comes_first_in_its_job() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    assert_eq!(spawns(&queue.on(Event::Again(repo("a", 0)))), ["a/0"]);
}

#[test]
fn adopted_shims_count_towards_the_limit() {
    let mut queue = Scheduler::new(2);
    let (queued, running) = (vec![2, 3], vec![0, 1]);
    let standing = Standing { queued, running, ..Standing::default() };
    assert!(queue.on(Event::Submitted(id("a"), standing)).is_empty());
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 1)))), ["a/2"]);
    // A duplicate report does not release a slot twice.
    assert!(queue.on(Event::Finished(repo("a", 1))).is_empty());
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
fn without_space_nothing_starts_and_queued_repositories_can_be_cancelled() {
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
fn a_repository_that_waits_for_a_retry_holds_no_slot_and_keeps_its_job_unfinished() {
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 3));
    assert_eq!(spawns(&queue.on(Event::Paused(repo("a", 0)))), ["a/1"]);
    assert_eq!((queue.running(), queue.queued()), (1, 1));
    // Its retry comes after the repositories that have not been tried yet.
    assert!(queue.on(Event::PauseEnded(repo("a", 0))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 1)))), ["a/2"]);
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 2)))), ["a/0"]);
    assert!(queue.on(Event::Paused(repo("a", 0))).is_empty(), "not finished: a retry follows");
    assert_eq!(spawns(&queue.on(Event::PauseEnded(repo("a", 0)))), ["a/0"]);
    // A pause that ends twice, or that does not exist, starts nothing.
    assert!(queue.on(Event::PauseEnded(repo("a", 0))).is_empty());
    assert_eq!(queue.on(Event::Finished(repo("a", 0))), [Effect::Finish(id("a"))]);
    assert!(queue.on(Event::PauseEnded(repo("a", 0))).is_empty());
}

#[test]
fn a_repository_that_waits_for_a_retry_can_be_cancelled_dropped_and_left_to_the_next_server() {
    let paused = |job: &str| {
        let standing = Standing { paused: vec![0, 1], ..Standing::default() };
        Event::Submitted(id(job), standing)
    };
    let mut queue = Scheduler::new(5);
    assert!(queue.on(paused("a")).is_empty());
    let discarded = Effect::Discard(id("a"), vec![0, 1]);
    assert_eq!(queue.on(Event::CancelAsked(id("a"))), [discarded]);
    assert!(queue.on(Event::PauseEnded(repo("a", 0))).is_empty());
    assert_eq!(queue.on(Event::Discarded(id("a"), 2)), [Effect::Finish(id("a"))]);

    queue.on(paused("b"));
    assert_eq!(queue.on(Event::Vanished(id("b"))), [Effect::Finish(id("b"))]);

    // A repository that fails after its job was cancelled is not retried.
    queue.on(submit("c", 1));
    queue.on(Event::CancelAsked(id("c")));
    let discarded = Effect::Discard(id("c"), vec![0]);
    assert_eq!(queue.on(Event::Paused(repo("c", 0))), [discarded]);

    queue.on(paused("d"));
    assert!(queue.on(Event::StopAsked).is_empty());
    assert!(queue.on(Event::PauseEnded(repo("d", 0))).is_empty());
}

fn planning(job: &str) -> Event {
    Event::Submitted(id(job), Standing { planning: true, ..Standing::default() })
}

#[test]
fn a_job_that_is_being_planned_is_unfinished_and_starts_once_its_plan_is_complete() {
    let mut queue = Scheduler::new(1);
    assert!(queue.on(planning("a")).is_empty());
    let planned = Event::Planned { job: id("a"), queued: vec![0, 2], ending: 1, more: false };
    assert_eq!(spawns(&queue.on(planned)), ["a/0"]);
    queue.on(Event::Finished(repo("a", 0)));
    assert!(
        queue.on(Event::Finished(repo("a", 2))).is_empty(),
        "one final state is not written yet"
    );
    assert_eq!(queue.on(Event::Discarded(id("a"), 1)), [Effect::Finish(id("a"))]);
}

/// Fails if scanning waits for the whole list, if a job finishes while its list goes on, or if what
/// is listed later is lost.
#[test]
fn scanning_begins_with_the_first_page_and_a_job_is_unfinished_until_its_list_ends() {
    let mut queue = Scheduler::new(1);
    queue.on(planning("a"));
    let page = |queued: &[u32], more| Event::Planned {
        job: id("a"),
        queued: queued.to_vec(),
        ending: 0,
        more,
    };
    assert_eq!(spawns(&queue.on(page(&[0, 1], true))), ["a/0"]);
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 0)))), ["a/1"]);
    assert!(queue.on(Event::Finished(repo("a", 1))).is_empty(), "the list goes on");
    assert!(queue.on(page(&[], true)).is_empty(), "a page may be empty");
    assert_eq!(spawns(&queue.on(page(&[2, 3], true))), ["a/2"]);
    assert!(queue.on(page(&[], false)).is_empty());
    assert_eq!(spawns(&queue.on(Event::Finished(repo("a", 2)))), ["a/3"]);
    assert_eq!(queue.on(Event::Finished(repo("a", 3))), [Effect::Finish(id("a"))]);

    // A cancel ends the listing, and what was listed is not started.
    queue.on(planning("a"));
    queue.on(page(&[0, 1], true));
    queue.on(Event::CancelBegun(id("a")));
    assert!(queue.on(page(&[2], true)).is_empty(), "a page arrives while the cancel is written");
    let effects = queue.on(Event::CancelAsked(id("a")));
    let expected = [
        Effect::End(repo("a", 0), OrderReason::Cancel),
        Effect::StopPlanning(id("a")),
        Effect::Discard(id("a"), vec![1, 2]),
    ];
    assert_eq!(effects, expected);
}

#[test]
fn a_failed_or_cancelled_plan_finishes_the_job_and_a_late_plan_is_ignored() {
    let mut queue = Scheduler::new(1);
    queue.on(planning("a"));
    assert_eq!(queue.on(Event::PlanFailed(id("a"))), [Effect::Finish(id("a"))]);
    queue.on(planning("b"));
    assert_eq!(
        queue.on(Event::CancelAsked(id("b"))),
        [Effect::StopPlanning(id("b")), Effect::Finish(id("b"))]
    );
    let late = Event::Planned { job: id("b"), queued: vec![0], ending: 0, more: false };
    assert!(queue.on(late).is_empty());
    queue.on(planning("c"));
    assert_eq!(queue.on(Event::StopAsked), [Effect::StopPlanning(id("c"))]);
}

#[test]
fn a_job_without_repositories_is_finished_at_once() {
    let mut queue = Scheduler::new(1);
    assert_eq!(queue.on(submit("a", 0)), [Effect::Finish(id("a"))]);
}

/// Five slow scans of one job hold all slots.
fn all_slow() -> Scheduler {
    let mut queue = Scheduler::new(5);
    queue.on(submit("bad", 20));
    for index in 0..5 {
        assert!(queue.on(Event::Slow(repo("bad", index))).is_empty(), "nobody waits");
    }
    queue
}

fn yields(effects: &[Effect]) -> Vec<String> {
    let yields = effects.iter().filter_map(|effect| match effect {
        Effect::End(repo, OrderReason::Yield) => Some(repo.to_string()),
        _ => None,
    });
    yields.collect()
}

#[test]
fn a_job_without_a_slot_gets_one_of_a_job_with_slow_scans() {
    let mut queue = all_slow();
    assert_eq!(yields(&queue.on(submit("good", 2))), ["bad/4"], "the last to become slow");
    // One slot is about to be released: no other scan is ordered to yield for the same job.
    assert!(queue.on(Event::Slow(repo("bad", 3))).is_empty());
    assert_eq!(spawns(&queue.on(Event::Again(repo("bad", 4)))), ["good/0"]);
    assert_eq!(queue.queued(), 17, "the scan that yielded is queued again");
    // A slot stays free for others as long as the slow job has completed nothing.
    assert_eq!(spawns(&queue.on(Event::Completed(repo("good", 0)))), ["good/1"]);
    queue.on(Event::Completed(repo("good", 1)));
    assert_eq!(queue.running(), 4);
    assert_eq!(spawns(&queue.on(submit("next", 1))), ["next/0"], "at once");
    queue.on(Event::Completed(repo("next", 0)));
    // Each completed scan restores a part of the share; the scan that yielded comes last.
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 0)))), ["bad/5", "bad/6"]);
    for index in 5..18 {
        queue.on(Event::Completed(repo("bad", index)));
    }
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 18)))), ["bad/4"]);
}

#[test]
fn each_waiting_job_gets_a_slot_and_the_slow_job_keeps_one() {
    let mut queue = all_slow();
    let mut yielded = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        yielded.extend(yields(&queue.on(submit(name, 3))));
    }
    assert_eq!(yielded, ["bad/4", "bad/3", "bad/2", "bad/1"], "it keeps one");
    for index in [4, 3, 2, 1] {
        assert_eq!(spawns(&queue.on(Event::Again(repo("bad", index)))).len(), 1);
    }
    // Once in its life: the jobs that still wait cannot reclaim it again.
    assert!(queue.on(Event::Slow(repo("bad", 0))).is_empty());
    assert_eq!(queue.running(), 5);
}

#[test]
fn a_scan_yields_its_slot_once() {
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
    queue.on(Event::Finished(repo("other", 0)));
    assert_eq!(queue.running(), 2);
}

#[test]
fn slow_scans_that_complete_nothing_halve_the_share_of_their_job() {
    let mut queue = all_slow();
    queue.on(Event::Finished(repo("bad", 0)));
    assert_eq!(queue.running(), 4, "two may run, four still do");
    queue.on(Event::Paused(repo("bad", 1)));
    queue.on(Event::Finished(repo("bad", 2)));
    queue.on(Event::Finished(repo("bad", 3)));
    assert_eq!(queue.running(), 1);
    assert_eq!(spawns(&queue.on(Event::Finished(repo("bad", 4)))), ["bad/5"], "one at a time");
    // A quick failure does not halve the share, and each completed scan adds one.
    assert_eq!(spawns(&queue.on(Event::Finished(repo("bad", 5)))), ["bad/6"]);
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 6)))).len(), 2);
    assert_eq!(spawns(&queue.on(Event::Completed(repo("bad", 7)))).len(), 2);
    assert_eq!(queue.running(), 3);
}

#[test]
fn a_slow_scan_that_is_stopping_or_gone_is_not_ordered_to_yield() {
    let mut queue = all_slow();
    queue.on(Event::CancelAsked(id("bad")));
    assert!(yields(&queue.on(submit("good", 1))).is_empty(), "it is being stopped anyway");
    let mut queue = all_slow();
    queue.on(Event::StopAsked);
    assert!(yields(&queue.on(submit("good", 1))).is_empty());
    let mut queue = Scheduler::new(1);
    queue.on(submit("a", 2));
    queue.on(Event::Slow(repo("a", 0)));
    queue.on(Event::Completed(repo("a", 0)));
    assert!(queue.on(Event::Slow(repo("a", 0))).is_empty());
    assert!(yields(&queue.on(submit("b", 1))).is_empty(), "the job has only one slot");
}

mod combined;
mod limits;
