//! Every parser on damaged files: no panic, bounded findings, the same answer twice.

use super::{
    REGISTRY, SourceFile,
    check::{check, read_alone},
    fixtures::{self, Case},
    imports::SOURCES,
};
use crate::made_up::{cases, damage::Damage, time_of};
use proptest::prelude::*;
use std::sync::LazyLock;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(fixtures::all);
static FILES: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| CASES.iter().map(|it| it.bytes.clone()).collect());

/// What the grammars are made of.
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
    #![proptest_config(cases(400))]

    #[test]
    fn damaged_files_are_read(case: prop::sample::Index, damages in prop::collection::vec(Damage::any(), 1..8)) {
        let case = case.get(CASES.as_slice());
        let mut bytes = case.bytes.clone();
        for damage in &damages {
            damage.apply(&mut bytes, &TOKENS, &FILES);
        }
        check(case.parser, &bytes);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for parser in REGISTRY.iter().chain(SOURCES) {
            check(*parser, &bytes);
        }
    }

    #[test]
    fn any_tokens_are_read(tokens in prop::collection::vec(prop::sample::select(TOKENS.as_slice()), 0..100)) {
        for parser in REGISTRY.iter().chain(SOURCES) {
            check(*parser, tokens.concat().as_bytes());
        }
    }
}

#[test]
fn files_cut_at_many_places_are_read() {
    for case in CASES.iter().filter(|it| it.bytes.len() < 4096) {
        for end in (0..case.bytes.len()).step_by(1 + case.bytes.len() / 100) {
            check(case.parser, &case.bytes[..end]);
        }
    }
}

/// Every fourth parser, so that they can be tried beside each other.
fn long_monotonous_files_are_read_in_linear_time(part: usize) {
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
        let bytes = token.repeat(60_000 / token.len());
        let file = SourceFile::alone("requirements.txt", bytes.as_bytes());
        for parser in REGISTRY.iter().chain(SOURCES).skip(part).step_by(4) {
            let took = time_of(|| read_alone(*parser, file));
            assert!(took.as_secs() < 3, "{}: {token:?}", parser.name());
        }
    }
}

/// As above, of what the parser itself understands: lines of its own format, whole, and as far as
/// where something is opened that nothing closes.
fn long_files_of_their_own_are_read_in_linear_time(part: usize) {
    for parser in REGISTRY.iter().chain(SOURCES).skip(part).step_by(4) {
        let cases = CASES.iter().filter(|it| it.parser.name() == parser.name());
        for case in cases.filter(|it| it.folder.ends_with("one")) {
            let text = String::from_utf8_lossy(&case.bytes);
            for line in text.lines().filter(|it| !it.trim().is_empty()).take(8) {
                let opened = line.rfind(['(', '[', '{', '<', '"', ':']).map(|at| &line[..=at]);
                for piece in std::iter::once(format!("{line}\n")).chain(opened.map(str::to_owned)) {
                    let repeated = piece.repeat(60_000 / piece.len());
                    let bytes = format!("{text}{repeated}");
                    let file = SourceFile::alone(&case.path, bytes.as_bytes());
                    let took = time_of(|| read_alone(*parser, file));
                    assert!(took.as_secs() < 3, "{}: {piece:?}", parser.name());
                }
            }
        }
    }
}

#[test]
fn long_files_take_linear_time_by_the_first_parsers() {
    long_monotonous_files_are_read_in_linear_time(0);
    long_files_of_their_own_are_read_in_linear_time(0);
}

#[test]
fn long_files_take_linear_time_by_the_second_parsers() {
    long_monotonous_files_are_read_in_linear_time(1);
    long_files_of_their_own_are_read_in_linear_time(1);
}

#[test]
fn long_files_take_linear_time_by_the_third_parsers() {
    long_monotonous_files_are_read_in_linear_time(2);
    long_files_of_their_own_are_read_in_linear_time(2);
}

#[test]
fn long_files_take_linear_time_by_the_last_parsers() {
    long_monotonous_files_are_read_in_linear_time(3);
    long_files_of_their_own_are_read_in_linear_time(3);
}
