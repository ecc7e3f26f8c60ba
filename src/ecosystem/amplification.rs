//! Amplification: files that name one long text, list or name as often as they can.
//!
//! Input: a generator of such a file, for each place in which a format can name something. Output: a
//! failure where a file of four times the size takes more than about four times the work, gives more than
//! four times the findings, or needs more memory than a scanner may have.
//!
//! Invariants: work is counted, not timed; a generous limit of CPU time catches only work that is not
//! charged.

mod generators;

use super::{
    Budget, Parser, SourceFile, deep_parser_for, fuzz::read_alone, parser_for, source_parser_for,
};
use crate::fuzzing::time_of;
use crate::model::scan_result::Package;
use generators::generators;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{process::Command, time::Duration};

/// Bytes of the smaller and the larger file.
const SIZES: [usize; 2] = [50_000, 200_000];

/// Limit of the CPU time for the larger file on a slow machine without optimizations: linear work takes
/// a tenth of it, quadratic work ten times as much.
const LONGEST: Duration = Duration::from_secs(4);

/// Limit of a scanner's data segment, as in the default settings.
const MEMORY: u64 = 256 << 20;

fn parser_of(path: &str) -> &'static dyn Parser {
    let deep = || deep_parser_for(path).or_else(|| source_parser_for(path));
    parser_for(path).or_else(deep).unwrap_or_else(|| panic!("no parser for {path}"))
}

/// The cost and the result of parsing a file.
struct Measured {
    units: u64,
    /// Bytes of the findings.
    found: usize,
    /// Whether the file used up its budget.
    is_cut_short: bool,
}

fn measure(path: &str, text: &str) -> Measured {
    let budget = Budget::of(text.len() as u64);
    let file = SourceFile { path, bytes: text.as_bytes(), budget: &budget };
    let findings = read_alone(parser_of(path), file);
    let packages = findings.packages.iter().map(Package::text_len);
    let warnings = findings.warnings.iter().map(|warning| warning.message.len());
    Measured {
        units: budget.spent(),
        found: packages.chain(warnings).sum(),
        is_cut_short: budget.was_used_up(),
    }
}

/// Checks every fourth generator.
fn check(part: usize) {
    for (what, path, file) in generators().into_iter().skip(part).step_by(4) {
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
        assert!(
            few.found > 0 && more.found > 0,
            "{case}: nothing was found, so nothing was tested"
        );
        assert!(more.units < 6 * few.units + 500_000, "{case}");
        // Where the budget ends a file, it determines the findings.
        if !few.is_cut_short && !more.is_cut_short {
            assert!(more.found < 6 * few.found + 50_000, "{case}");
        }
        assert!(more.found < 50 * large.len() + (1 << 20), "{case}");
        assert!(took < LONGEST, "{case}");
    }
}

/// Set in the child process, whose memory is limited like a scanner's.
const INSIDE: &str = "SCANWATCH_TEST_MENTIONS";

/// Runs a test in a child process with the memory of a scanner.
fn within_the_memory_of_a_scanner(test: &str, part: usize) {
    if std::env::var_os(INSIDE).is_some() {
        let limit = Rlimit { current: Some(MEMORY), maximum: getrlimit(Resource::Data).maximum };
        setrlimit(Resource::Data, limit).unwrap();
        return check(part);
    }
    #[expect(clippy::disallowed_methods, reason = "this very program")]
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("ecosystem::amplification::{test}")])
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

/// The first of four parts, which run in parallel.
#[test]
fn mentions_are_linear_in_the_first_generators() {
    within_the_memory_of_a_scanner("mentions_are_linear_in_the_first_generators", 0);
}

#[test]
fn mentions_are_linear_in_the_second_generators() {
    within_the_memory_of_a_scanner("mentions_are_linear_in_the_second_generators", 1);
}

#[test]
fn mentions_are_linear_in_the_third_generators() {
    within_the_memory_of_a_scanner("mentions_are_linear_in_the_third_generators", 2);
}

#[test]
fn mentions_are_linear_in_the_last_generators() {
    within_the_memory_of_a_scanner("mentions_are_linear_in_the_last_generators", 3);
}
