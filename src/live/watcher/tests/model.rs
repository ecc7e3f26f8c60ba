//! What may happen to a jobs folder, made up at random, and heard of by events that are lost, doubled
//! and out of order: in the end the cache says what a fresh read of the disk says.
//!
//! A few rounds each time; `SCANWATCH_ROUNDS=1000 cargo nextest run watcher::tests::model` plays more,
//! `SCANWATCH_SEED` the rounds of a seed that was printed. What fails is made smaller and printed.

mod world;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::time::SystemTime;
use world::World;

const JOBS: [&str; 3] = ["a", "b", "c"];
const REPOSITORIES: u32 = 3;
const WORDS: [&str; 5] = ["scanning", "completed", "failed", "cloning", "odd"];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Op {
    /// To a file of a job; number 0 is master.json.
    File(usize, u32, Change, Fate),
    Folder(usize, Move, Fate),
    /// The reader hears so many of the events that it has not heard yet, the newest first or the oldest.
    Hear(usize, bool),
    Turns(usize),
    Clock,
    /// Somebody waits for a job to be read.
    Nudge(usize),
    /// Anything may have changed; then cache and disk are compared, with broken files as they are or not.
    Compare {
        healed: bool,
    },
}

#[derive(Debug, Clone)]
enum Change {
    /// By a writer that renames.
    Replaced(usize),
    InPlace(usize),
    /// In place and twice, the second time with as many bytes at the same moment.
    InPlaceTwice(usize),
    /// Half of it, in place.
    Half(usize),
    Truncated,
    Garbage(Vec<u8>),
    Removed,
    Odd(Odd),
}

/// What is no file as we write them.
#[derive(Debug, Clone, Copy)]
enum Odd {
    Folder,
    Link,
    Pipe,
    TooLarge,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    /// Made, by ourselves or by another program.
    Made {
        ours: bool,
    },
    Removed,
    RemovedAndMade,
    Away,
    Back,
}

/// What becomes of the event.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Told,
    Lost,
    Doubled,
}

fn op() -> impl Strategy<Value = Op> {
    let fate =
        || prop_oneof![3 => Just(Fate::Told), 1 => Just(Fate::Lost), 1 => Just(Fate::Doubled)];
    let word = || 0..WORDS.len();
    let change = prop_oneof![
        6 => word().prop_map(Change::Replaced),
        3 => word().prop_map(Change::InPlace),
        2 => word().prop_map(Change::InPlaceTwice),
        1 => word().prop_map(Change::Half),
        1 => Just(Change::Truncated),
        1 => vec(any::<u8>(), 0..40).prop_map(Change::Garbage),
        2 => Just(Change::Removed),
        1 => prop_oneof![Just(Odd::Folder), Just(Odd::Link), Just(Odd::Pipe), Just(Odd::TooLarge)]
            .prop_map(Change::Odd),
    ];
    let moved = prop_oneof![
        3 => any::<bool>().prop_map(|ours| Move::Made { ours }),
        1 => Just(Move::Removed),
        1 => Just(Move::RemovedAndMade),
        1 => Just(Move::Away),
        2 => Just(Move::Back),
    ];
    let job = || 0..JOBS.len();
    prop_oneof![
        24 => (job(), 0..=REPOSITORIES, change, fate()).prop_map(|(j, f, c, e)| Op::File(j, f, c, e)),
        8 => (job(), moved, fate()).prop_map(|(job, moved, fate)| Op::Folder(job, moved, fate)),
        8 => (1..6_usize, any::<bool>()).prop_map(|(count, newest)| Op::Hear(count, newest)),
        8 => (1..4_usize).prop_map(Op::Turns),
        2 => Just(Op::Clock),
        1 => job().prop_map(Op::Nudge),
        1 => any::<[bool; 3]>().prop_map(|it| Op::Compare { healed: it.contains(&true) }),
    ]
}

/// Breaks if an event that is lost, doubled or late, or a file that is removed, broken or replaced at a bad
/// moment, leaves anything in the cache that is not on the disk; or if a version does not grow
/// with what it stands for.
#[test]
fn whatever_happens_the_cache_ends_as_a_fresh_read_of_the_disk() {
    let number = |name| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let by_chance = || {
        u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos())
    };
    let seed = number("SCANWATCH_SEED").unwrap_or_else(by_chance);
    #[expect(clippy::print_stderr, reason = "what failed can be played again")]
    {
        eprintln!("SCANWATCH_SEED={seed}");
    }
    let cases = number("SCANWATCH_ROUNDS").and_then(|it| it.try_into().ok()).unwrap_or(16);
    let config =
        Config { cases, failure_persistence: None, max_shrink_time: 120_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let played = TestRunner::new_with_rng(config, rng).run(&vec(op(), 10..120), |ops| {
        let mut world = World::new();
        for op in ops {
            world.play(op);
            world.look_at_versions();
        }
        world.compare(true);
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
