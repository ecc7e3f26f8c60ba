//! Files that mention one thing as often as they can: a long text, a long list, a name that stands for
//! others.
//!
//! Input: a way to write such a file, for each place in which a format can mention something. Output: a
//! failure where four times the file takes more than about four times the work, gives more than four times
//! the findings, or needs more memory than a scanner may have.
//!
//! Invariants: what is compared is counted, not timed; only a bound on processor time, which is far
//! from what linear work takes, catches work that nobody charges.

mod places;

use super::{
    Budget, Parser, SourceFile, deep_parser_for, fuzz::read_alone, parser_for, source_parser_for,
};
use crate::fuzzing::time_of;
use crate::model::scan_result::Package;
use places::places;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{process::Command, time::Duration};

/// Bytes of a file, and of one four times as large.
const SIZES: [usize; 2] = [100_000, 400_000];

/// What reading the larger file may take on a slow machine without optimizations: linear work takes a
/// tenth of it, quadratic work ten times as much.
const LONGEST: Duration = Duration::from_secs(8);

/// What a scanner may fill with data, by the settings.
const MEMORY: u64 = 256 << 20;

fn parser_of(path: &str) -> &'static dyn Parser {
    let deep = || deep_parser_for(path).or_else(|| source_parser_for(path));
    parser_for(path).or_else(deep).unwrap_or_else(|| panic!("no parser for {path}"))
}

/// What reading a file comes to.
struct Measured {
    units: u64,
    /// Bytes of what is found.
    found: usize,
    /// Whether the budget of the file ended it.
    is_cut_short: bool,
}

fn measure(path: &str, text: &str) -> Measured {
    let budget = Budget::of(text.len() as u64);
    let file = SourceFile { path, bytes: text.as_bytes(), budget: &budget };
    let findings = read_alone(parser_of(path), file);
    let packages = findings.packages.iter().map(Package::text_len);
    let warnings = findings.warnings.iter().map(|it| it.message.len());
    Measured {
        units: budget.spent(),
        found: packages.chain(warnings).sum(),
        is_cut_short: budget.was_used_up(),
    }
}

/// Reads the files of every fourth place.
fn read_places(part: usize) {
    for (what, path, file) in places().into_iter().skip(part).step_by(4) {
        let [small, large] = SIZES.map(file);
        let about_four_times = large.len() < 5 * small.len() && large.len() > 2 * small.len();
        assert!(about_four_times, "{path}, {what}: {} and {} bytes", small.len(), large.len());
        let few = measure(path, &small);
        let mut more = None;
        let took = time_of(|| more = Some(measure(path, &large)));
        let Some(more) = more else { continue };
        let case = format!(
            "{path}, {what}: {} units and {} bytes become {} and {} in {took:?}",
            few.units, few.found, more.units, more.found
        );
        assert!(few.found > 0 && more.found > 0, "{case}: nothing is found, so nothing is tried");
        assert!(more.units < 6 * few.units + 500_000, "{case}");
        // Where the budget ends a file, what is found follows from it.
        if !few.is_cut_short && !more.is_cut_short {
            assert!(more.found < 6 * few.found + 50_000, "{case}");
        }
        assert!(more.found < 50 * large.len() + (1 << 20), "{case}");
        assert!(took < LONGEST, "{case}");
    }
}

/// Set in the process that does the reading, which may fill no more memory than a scanner.
const INSIDE: &str = "SCANWATCH_TEST_MENTIONS";

/// Runs the test of this name in a process of its own.
fn within_the_memory_of_a_scanner(test: &str, part: usize) {
    if std::env::var_os(INSIDE).is_some() {
        let limit = Rlimit { current: Some(MEMORY), maximum: getrlimit(Resource::Data).maximum };
        setrlimit(Resource::Data, limit).unwrap();
        return read_places(part);
    }
    #[expect(clippy::disallowed_methods, reason = "this very program")]
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("ecosystem::mentions::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (shown(&output.stdout), shown(&output.stderr));
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
}

/// The first of four parts, so that they can be tried beside each other.
#[test]
fn what_is_mentioned_often_is_read_once_in_the_first_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_first_places", 0);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_second_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_second_places", 1);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_third_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_third_places", 2);
}

#[test]
fn what_is_mentioned_often_is_read_once_in_the_last_places() {
    within_the_memory_of_a_scanner("what_is_mentioned_often_is_read_once_in_the_last_places", 3);
}
