//! Generated files that name one thing many times: reading them costs no more than they are long.
//!
//! Input: a small sample of each format that YAML is read for (`samples`). From each value of a sample
//! (`generate`) files are made in which that value is long, be it a text or a collection, or an alias of
//! itself, and in which each collection around it is repeated with aliases of that value: where a format can
//! mention something, it is mentioned many times.
//!
//! Output: the work that the parsers charge for such a file, and for one that is four times as long. Work
//! is counted, so that the test tells the same on every machine.

mod generate;
mod samples;

use super::{Budget, Findings, Parser, REGISTRY, SourceFile, fixtures, source::read_within};
use crate::fuzzing::time_of;
use generate::{Shape, Value};
use samples::SAMPLES;

/// Bytes of the shorter file. A half is long enough to be no name or version.
const SIZE: usize = 9_000;

/// Units for a byte that no file takes, whatever it mentions: a text of the length of a version in each of
/// its mentions.
const MOST_PER_BYTE: u64 = 2_000;

/// What a parser finds, and the units of work that it took.
fn read(parser: &dyn Parser, path: &str, text: &str, budget: &Budget) -> (Findings, u64) {
    let file = SourceFile { path, bytes: text.as_bytes(), budget };
    (read_within(parser, file), budget.spent())
}

fn parser(name: &str) -> &'static dyn Parser {
    *REGISTRY.iter().find(|it| it.name() == name).unwrap_or_else(|| panic!("no parser {name}"))
}

/// The files whose cost grows faster than they do, of every eighth sample.
fn check(part: usize) {
    let mut worse = Vec::new();
    for (name, path, text) in SAMPLES.iter().skip(part).step_by(8) {
        let parser = parser(name);
        assert!(parser.wants(path), "{name}: {path}");
        let sample = Value::read(text);
        let mut of_sample = 0;
        for shape in Shape::all(&sample) {
            let [short, long] = [SIZE, 4 * SIZE].map(|size| shape.write(&sample, size));
            // Both with an end, so that this test has one too.
            let most = MOST_PER_BYTE * short.len() as u64;
            let (_, of_short) = read(parser, path, &short, &Budget::limited_to(most));
            let (_, of_long) = read(parser, path, &long, &Budget::limited_to(8 * of_short));
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
            // What is done behind the end of the budget is no more than to leave the walks.
            assert!(budget.spent() < 3 * budget.allowed(), "{name} {shape:?}: {}", budget.spent());
        }
    }
    assert!(worse.is_empty(), "{} files:\n{}", worse.len(), worse.join("\n"));
}

#[test]
fn mentions_cost_what_they_are_long_by_the_first_samples() {
    check(0);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_second_samples() {
    check(1);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_third_samples() {
    check(2);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_fourth_samples() {
    check(3);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_fifth_samples() {
    check(4);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_sixth_samples() {
    check(5);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_seventh_samples() {
    check(6);
}

#[test]
fn mentions_cost_what_they_are_long_by_the_last_samples() {
    check(7);
}

/// Breaks if a format of YAML has no sample, or a sample says nothing.
#[test]
fn each_format_of_yaml_has_its_sample() {
    for case in fixtures::all() {
        let is_yaml = case.path.ends_with(".yml") || case.path.ends_with(".yaml");
        // The reader of conda's files knows no aliases.
        if is_yaml && case.parser.name() != "conda" {
            let name = case.parser.name();
            assert!(SAMPLES.iter().any(|it| it.0 == name), "no sample for {name}");
        }
    }
    for (name, path, text) in SAMPLES {
        let text = Value::read(text).write();
        let (found, _) = read(parser(name), path, &text, &Budget::of(1000));
        assert!(found.packages.len() > 1 || found.project.is_some(), "{name}: {text} {found:?}");
        assert_eq!(found.warnings, [], "{name}: {text}");
    }
}

/// Breaks if a file that takes too much work costs more than itself: what was found is kept, nothing is said of
/// what was not read, and there is one warning. A version of the allowed length in each of many entries is
/// the most that aliases can still ask for.
#[test]
fn a_file_that_uses_up_its_budget_keeps_what_was_found() {
    let version = "1".repeat(4000);
    let entries =
        |entry: &str| (0..20_000).map(|it| entry.replace('#', &it.to_string())).collect::<String>();
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
        let messages: Vec<_> = findings.warnings.iter().map(|it| it.message.as_str()).collect();
        if name == "compose" {
            assert_eq!((findings.packages.len(), messages.len()), (20_000, 0));
        } else {
            assert_eq!(messages.len(), 1, "{name}: {messages:?}");
            assert!(messages[0].starts_with("takes more work than is allowed"), "{messages:?}");
            assert!(
                findings.packages.iter().all(|it| it.version.as_deref() == Some(version.as_str()))
            );
        }
    }
}

/// Prints the work for the files below `SCANWATCH_MEASURE`, as units per byte, the most first.
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
                Ok(it) if it.is_dir() => folders.push(path),
                Ok(it) if it.is_file() => {
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
    measured.sort_by_key(|it| it.1 * 10 / (it.2 as u64 + 1));
    let most = measured.iter().max_by_key(|it| it.0);
    eprintln!("{} files; most of its budget took {most:?}", measured.len());
    for (share, spent, size, path) in measured.iter().rev().filter(|it| it.2 > 500).take(40) {
        let tenths = spent * 10 / *size as u64;
        eprintln!("{tenths} tenths of a unit a byte, {share} ‰ of the budget: {size} {path}");
    }
}
