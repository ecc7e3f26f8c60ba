//! A model test: random changes of a jobs folder, with events that are lost, doubled and out of
//! order. In the end the cache equals a fresh read of the disk.
//!
//! Each run plays a few rounds; `SCANWATCH_ROUNDS=1000 cargo nextest run watcher::tests::model`
//! plays more, and `SCANWATCH_SEED` repeats the rounds of a printed seed. A failing round is shrunk
//! and printed.

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

/// One step.
#[derive(Debug, Clone)]
enum Op {
    /// Changes a file of a job; number 0 is master.json.
    File(usize, u32, Change, Fate),
    Folder(usize, Move, Fate),
    /// The reader receives so many of the pending events, the newest first or the oldest first.
    Receive(usize, bool),
    Turns(usize),
    Clock,
    /// A request waits for a job to be read.
    Nudge(usize),
    /// A resync; then cache and disk are compared, with the broken files repaired before it or not.
    Compare {
        healed: bool,
    },
}

#[derive(Debug, Clone)]
enum Change {
    /// By a rename.
    Replaced(usize),
    InPlace(usize),
    /// In place and twice, the second time with the same size at the same moment.
    InPlaceTwice(usize),
    /// Only the first half of the content.
    Half(usize),
    Truncated,
    Garbage(Vec<u8>),
    Removed,
    Odd(Odd),
}

/// An entry that is not a regular status file.
#[derive(Debug, Clone, Copy)]
enum Odd {
    Folder,
    Link,
    Pipe,
    TooLarge,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    /// Created, by this server or by another program.
    Made {
        ours: bool,
    },
    Removed,
    RemovedAndMade,
    Away,
    Back,
}

/// What happens to the event.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Delivered,
    Lost,
    Doubled,
}

fn op() -> impl Strategy<Value = Op> {
    let fate =
        || prop_oneof![3 => Just(Fate::Delivered), 1 => Just(Fate::Lost), 1 => Just(Fate::Doubled)];
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
        8 => (1..6_usize, any::<bool>()).prop_map(|(count, newest)| Op::Receive(count, newest)),
        8 => (1..4_usize).prop_map(Op::Turns),
        2 => Just(Op::Clock),
        1 => job().prop_map(Op::Nudge),
        1 => any::<[bool; 3]>().prop_map(|coins| Op::Compare { healed: coins.contains(&true) }),
    ]
}

/// Fails if an event that is lost, doubled or late, or a file that is removed, broken or replaced
/// at a bad moment, leaves content in the cache that is not on the disk, or if a content changes
/// without a new version.
#[test]
fn after_any_changes_the_cache_equals_a_fresh_read_of_the_disk() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let random_seed = || {
        u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos())
    };
    let seed = number("SCANWATCH_SEED").unwrap_or_else(random_seed);
    #[expect(clippy::print_stderr, reason = "a failed round can be repeated")]
    {
        eprintln!("SCANWATCH_SEED={seed}");
    }
    let cases = number("SCANWATCH_ROUNDS").and_then(|rounds| rounds.try_into().ok()).unwrap_or(16);
    let config =
        Config { cases, failure_persistence: None, max_shrink_time: 120_000, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let played = TestRunner::new_with_rng(config, rng).run(&vec(op(), 10..120), |ops| {
        let mut world = World::new();
        for op in ops {
            world.play(op);
            world.check_versions();
        }
        world.compare(true);
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
