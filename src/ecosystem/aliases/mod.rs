//! Generated YAML files that name one thing many times: parsing costs no more than their length.
//!
//! Input: a small sample of each YAML format (`samples`). For each value of a sample, `generate` makes files
//! in which that value is long (a text, a collection, or an alias of itself), and in which each collection
//! around it is repeated with aliases of that value: wherever a format can name something, it is named
//! many times.
//!
//! Output: the work that the parsers charge for such a file, and for one that is twice as long. Work
//! is counted, not timed, so the test gives the same result on every machine.

mod generate;
mod samples;

use super::{Budget, Findings, Parser, REGISTRY, SourceFile, fixtures, parser::read_within};
use crate::fuzzing::time_of;
use generate::{Shape, Value};
use samples::SAMPLES;

/// Bytes of the shorter file. Half of it is too long for a name or a version.
const SIZE: usize = 9_000;

/// Limit of the units for each byte, whatever the file names: the length of the longest version for each
/// mention.
const MOST_PER_BYTE: u64 = 2_000;

/// The findings of a parser, and the units of work that it spent.
fn read(parser: &dyn Parser, path: &str, text: &str, budget: &Budget) -> (Findings, u64) {
    let file = SourceFile { path, bytes: text.as_bytes(), budget };
    (read_within(parser, file), budget.spent())
}

fn parser(name: &str) -> &'static dyn Parser {
    *REGISTRY
        .iter()
        .find(|parser| parser.name() == name)
        .unwrap_or_else(|| panic!("no parser {name}"))
}

/// Checks every eighth sample: the cost of its generated files must not grow faster than their length.
fn check(part: usize) {
    let mut worse = Vec::new();
    for (name, path, text) in SAMPLES.iter().skip(part).step_by(8) {
        let parser = parser(name);
        assert!(parser.wants(path), "{name}: {path}");
        let sample = Value::read(text);
        let mut of_sample = 0;
        for shape in Shape::all(&sample) {
            let [short, long] = [SIZE, 2 * SIZE].map(|size| shape.write(&sample, size));
            // Both budgets are limited, so that this test ends.
            let most = MOST_PER_BYTE * short.len() as u64;
            let (_, of_short) = read(parser, path, &short, &Budget::limited_to(most));
            let (_, of_long) = read(parser, path, &long, &Budget::limited_to(4 * of_short));
            let per_byte = |units: u64, text: &str| units * 100 / text.len() as u64;
            let (of_short, of_long) = (per_byte(of_short, &short), per_byte(of_long, &long));
            if of_long * 10 > of_short * 12 || of_short > MOST_PER_BYTE * 100 {
                of_sample += 1;
                worse.push(format!("{name} {shape:?}: {of_short} -> {of_long} / 100 a byte"));
            }
            if of_sample == 3 {
                break;
            }
            if of_long < 50_00 {
                continue;
            }
            let budget = Budget::of(0);
            let took = time_of(|| read(parser, path, &long, &budget));
            assert!(took.as_secs() < 3, "{name} {shape:?}: {took:?}");
            // Once the budget is used up, the only work left is to leave the walks.
            assert!(budget.spent() < 3 * budget.allowed(), "{name} {shape:?}: {}", budget.spent());
        }
    }
    assert!(worse.is_empty(), "{} files:\n{}", worse.len(), worse.join("\n"));
}

#[test]
fn cost_of_aliases_is_linear_in_the_first_samples() {
    check(0);
}

#[test]
fn cost_of_aliases_is_linear_in_the_second_samples() {
    check(1);
}

#[test]
fn cost_of_aliases_is_linear_in_the_third_samples() {
    check(2);
}

#[test]
fn cost_of_aliases_is_linear_in_the_fourth_samples() {
    check(3);
}

#[test]
fn cost_of_aliases_is_linear_in_the_fifth_samples() {
    check(4);
}

#[test]
fn cost_of_aliases_is_linear_in_the_sixth_samples() {
    check(5);
}

#[test]
fn cost_of_aliases_is_linear_in_the_seventh_samples() {
    check(6);
}

#[test]
fn cost_of_aliases_is_linear_in_the_last_samples() {
    check(7);
}

/// Fails if a YAML format has no sample, or a sample gives no findings.
#[test]
fn each_yaml_format_has_a_sample() {
    for case in fixtures::all() {
        let is_yaml = case.path.ends_with(".yml") || case.path.ends_with(".yaml");
        // The reader of conda files does not support aliases.
        if is_yaml && case.parser.name() != "conda" {
            let name = case.parser.name();
            assert!(SAMPLES.iter().any(|sample| sample.0 == name), "no sample for {name}");
        }
    }
    for (name, path, text) in SAMPLES {
        let text = Value::read(text).write();
        let (found, _) = read(parser(name), path, &text, &Budget::of(1000));
        assert!(found.packages.len() > 1 || found.project.is_some(), "{name}: {text} {found:?}");
        assert_eq!(found.warnings, [], "{name}: {text}");
    }
}

/// Fails if a file that uses up its budget costs more than its length, loses what was found, or gives
/// more than one warning. A version of the maximum length in each of many entries is the most that aliases
/// can still cause.
#[test]
fn a_file_that_uses_up_its_budget_keeps_what_was_found() {
    let version = "1".repeat(4000);
    let entries = |entry: &str| {
        (0..20_000).map(|number| entry.replace('#', &number.to_string())).collect::<String>()
    };
    for (name, path, text) in [
        (
            "pubspec",
            "pubspec.yaml",
            format!("x: &v '{version}'\ndependencies:\n{}", entries("  a#: *v\n")),
        ),
        (
            "pnpm-lock",
            "pnpm-lock.yaml",
            format!(
                "lockfileVersion: '9.0'\nx: &v {{version: '{version}'}}\npackages:\n{}",
                entries("  a#@1.0.0: *v\n")
            ),
        ),
        (
            "pubspec-lock",
            "pubspec.lock",
            format!("x: &v {{version: '{version}'}}\npackages:\n{}", entries("  a#: *v\n")),
        ),
        (
            "compose",
            "compose.yaml",
            format!("x: &v ':{version}'\nservices:\n{}", entries("  a#: {image: 'b#'}\n")),
        ),
    ] {
        let findings = super::read(parser(name), path, text.as_bytes());
        let size: usize =
            findings.packages.iter().map(crate::model::scan_result::Package::text_len).sum();
        assert!(size < 40 * text.len(), "{name}: {size} of {}", text.len());
        assert!(findings.packages.len() > 100, "{name}: {}", findings.packages.len());
        let messages: Vec<_> =
            findings.warnings.iter().map(|warning| warning.message.as_str()).collect();
        if name == "compose" {
            assert_eq!((findings.packages.len(), messages.len()), (20_000, 0));
        } else {
            assert_eq!(messages.len(), 1, "{name}: {messages:?}");
            assert!(messages[0].starts_with("the file takes more work"), "{messages:?}");
            assert!(
                findings
                    .packages
                    .iter()
                    .all(|package| package.version.as_deref() == Some(version.as_str()))
            );
        }
    }
}

/// Prints the work for the files below `SCANWATCH_MEASURE`, in units per byte, most expensive first.
#[test]
#[ignore = "a measurement of files that the caller has"]
#[expect(clippy::print_stderr, reason = "what was measured, for whoever asked for it")]
fn work_of_real_files() {
    let root = std::env::var_os("SCANWATCH_MEASURE").expect("a folder");
    let mut folders = vec![std::path::PathBuf::from(root)];
    let mut measured = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() => {
                    let shown = path.to_string_lossy().into_owned();
                    let Some(parser) = super::parser_for(&shown) else { continue };
                    let Ok(bytes) = std::fs::read(&path) else { continue };
                    let budget = Budget::unlimited();
                    let file = SourceFile { path: &shown, bytes: &bytes, budget: &budget };
                    drop(super::fuzz::read_alone(parser, file));
                    let limit = Budget::of(bytes.len() as u64).allowed();
                    measured.push((
                        budget.spent() * 1000 / limit,
                        budget.spent(),
                        bytes.len(),
                        shown,
                    ));
                }
                _ => {}
            }
        }
    }
    measured.sort_by_key(|measurement| measurement.1 * 10 / (measurement.2 as u64 + 1));
    let most = measured.iter().max_by_key(|measurement| measurement.0);
    eprintln!("{} files; largest share of a budget: {most:?}", measured.len());
    for (share, spent, size, path) in
        measured.iter().rev().filter(|measurement| measurement.2 > 500).take(40)
    {
        let tenths = spent * 10 / *size as u64;
        eprintln!("{tenths} tenths of a unit per byte, {share} ‰ of the budget: {size} {path}");
    }
}
