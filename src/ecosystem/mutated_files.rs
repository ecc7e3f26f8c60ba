//! Every parser on mutated and random files: the invariants of [`check_parser`] and linear time.

use super::{
    SourceFile, every_parser,
    fixtures::{self, Case},
    fuzz::{check_parser, read_alone},
};
use crate::fuzzing::{cases, mutation::Mutation, time_of};
use proptest::prelude::*;
use std::{sync::LazyLock, time::Duration};

static CASES: LazyLock<Vec<Case>> = LazyLock::new(fixtures::all);
static FILES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| CASES.iter().map(|case| case.bytes.clone()).collect());

/// Tokens of the grammars.
const TOKENS: [&str; 49] = [
    "\"",
    "'",
    "\"\"\"",
    "{",
    "}",
    "[",
    "]",
    "[[",
    ",",
    ":",
    "=",
    "\n",
    "\\",
    "#",
    "é",
    "\u{0}",
    "\\u",
    "a.b.c",
    "<<<<<<< HEAD\n",
    "-e ",
    "(",
    ")",
    "//",
    "=>",
    "<a>",
    "</dependency>",
    "<![CDATA[",
    "<!--",
    "&#x",
    "${",
    "/*",
    " % ",
    "dependencies {\n",
    "setup(",
    "- ",
    "<<<<<<<",
    "import ",
    "from a import (",
    "/**/",
    "package a.b;",
    ".{",
    "\n  - ",
    "\n  a: ",
    "&a ",
    "*a",
    "|\n",
    "? ",
    "{{",
    "\nFROM ",
];

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn mutated_files_satisfy_the_invariants(case: prop::sample::Index, mutations in prop::collection::vec(Mutation::any(), 1..8)) {
        let case = case.get(CASES.as_slice());
        let mut bytes = case.bytes.clone();
        for mutation in &mutations {
            mutation.apply(&mut bytes, &TOKENS, &FILES);
        }
        check_parser(case.parser, &bytes);
    }

    #[test]
    fn random_bytes_satisfy_the_invariants(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for parser in every_parser() {
            check_parser(*parser, &bytes);
        }
    }

    #[test]
    fn random_tokens_satisfy_the_invariants(tokens in prop::collection::vec(prop::sample::select(TOKENS.as_slice()), 0..100)) {
        for parser in every_parser() {
            check_parser(*parser, tokens.concat().as_bytes());
        }
    }
}

#[test]
fn truncated_files_satisfy_the_invariants() {
    for case in CASES.iter().filter(|case| case.bytes.len() < 4096) {
        for end in (0..case.bytes.len()).step_by(1 + case.bytes.len() / 40) {
            check_parser(case.parser, &case.bytes[..end]);
        }
    }
}

/// The length of a repeated token or line, and the limit of the CPU time: a debug build takes some
/// milliseconds in linear time, and seconds in quadratic time.
const REPEATED: usize = 10_000;
const MAX_TIME: Duration = Duration::from_millis(500);

/// Reads one repeated token with every fourth parser, so that the four parts run in parallel.
fn check_repeated_tokens(part: usize) {
    for token in TOKENS.iter().chain(&[
        "a ",
        "a\n",
        "a=1\n",
        "[a]\n",
        "{\"a\":",
        "a==1;",
        "[[package]]\n",
        "require (\n",
    ]) {
        let bytes = token.repeat(REPEATED / token.len());
        let file = SourceFile::alone("requirements.txt", bytes.as_bytes());
        for parser in every_parser().skip(part).step_by(4) {
            let took = time_of(|| read_alone(*parser, file));
            assert!(took < MAX_TIME, "{}: {token:?}: {took:?}", parser.name());
        }
    }
}

/// As [`check_repeated_tokens`], with lines of the parser's own format: whole, and cut behind an
/// opening bracket or quote that nothing closes.
fn check_repeated_lines(part: usize) {
    for parser in every_parser().skip(part).step_by(4) {
        let cases = CASES.iter().filter(|case| case.parser.name() == parser.name());
        for case in cases.filter(|case| case.folder.ends_with("one")) {
            let text = String::from_utf8_lossy(&case.bytes);
            for line in text.lines().filter(|line| !line.trim().is_empty()).take(8) {
                let opened = line.rfind(['(', '[', '{', '<', '"', ':']).map(|at| &line[..=at]);
                for piece in std::iter::once(format!("{line}\n")).chain(opened.map(str::to_owned)) {
                    let repeated = piece.repeat(REPEATED / piece.len());
                    let bytes = format!("{text}{repeated}");
                    let file = SourceFile::alone(&case.path, bytes.as_bytes());
                    let took = time_of(|| read_alone(*parser, file));
                    assert!(took < MAX_TIME, "{}: {piece:?}: {took:?}", parser.name());
                }
            }
        }
    }
}

#[test]
fn long_files_take_linear_time_in_the_first_quarter_of_the_parsers() {
    check_repeated_tokens(0);
    check_repeated_lines(0);
}

#[test]
fn long_files_take_linear_time_in_the_second_quarter_of_the_parsers() {
    check_repeated_tokens(1);
    check_repeated_lines(1);
}

#[test]
fn long_files_take_linear_time_in_the_third_quarter_of_the_parsers() {
    check_repeated_tokens(2);
    check_repeated_lines(2);
}

#[test]
fn long_files_take_linear_time_in_the_last_quarter_of_the_parsers() {
    check_repeated_tokens(3);
    check_repeated_lines(3);
}
