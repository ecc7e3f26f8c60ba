//! Every parser on damaged files: no panic, bounded findings, the same answer twice.

use super::{
    Findings, Parser, REGISTRY, SourceFile,
    fixtures::{self, Case},
    imports::SOURCES,
};
use proptest::prelude::*;
use std::sync::LazyLock;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(fixtures::all);

/// One kind of damage, at a place that is scaled to the length of the file.
#[derive(Debug, Clone)]
enum Damage {
    Truncate(u16),
    Replace(u16, u8),
    Insert(u16, &'static str),
    Remove(u16, u8),
    /// A piece of another file of any format.
    Splice(u16, prop::sample::Index, u16),
}

/// What the grammars are made of.
const TOKENS: [&str; 41] = [
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
];

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<u16>().prop_map(Damage::Truncate),
        any::<(u16, u8)>().prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<u16>(), prop::sample::select(TOKENS.as_slice()))
            .prop_map(|(at, token)| Damage::Insert(at, token)),
        any::<(u16, u8)>().prop_map(|(at, length)| Damage::Remove(at, length)),
        any::<(u16, prop::sample::Index, u16)>()
            .prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
    ]
}

fn scaled(at: u16, length: usize) -> usize {
    length * usize::from(at) / usize::from(u16::MAX)
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    match damage {
        Damage::Truncate(at) => bytes.truncate(scaled(*at, length)),
        Damage::Replace(at, byte) => {
            if let Some(place) = bytes.get_mut(scaled(*at, length)) {
                *place = *byte;
            }
        }
        Damage::Insert(at, token) => {
            let at = scaled(*at, length);
            drop(bytes.splice(at..at, token.bytes()));
        }
        Damage::Remove(at, count) => {
            let at = scaled(*at, length);
            drop(bytes.drain(at..length.min(at + usize::from(*count))));
        }
        Damage::Splice(at, other, from) => {
            let other = &other.get(CASES.as_slice()).bytes;
            let piece = other.iter().skip(scaled(*from, other.len())).take(300).copied();
            let at = scaled(*at, length);
            drop(bytes.splice(at..at, piece));
        }
    }
}

fn parse(parser: &dyn Parser, bytes: &[u8]) -> Findings {
    fixtures::read_alone(parser, SourceFile { path: "requirements.txt", bytes })
}

fn check(parser: &dyn Parser, bytes: &[u8]) {
    let findings = parse(parser, bytes);
    assert!(findings.packages.len() <= bytes.len());
    assert!(findings.warnings.len() <= 202);
    assert!(findings.packages.iter().all(|it| !it.name.is_empty() && it.line > Some(0)));
    assert!(!findings.unreadable || findings.packages.is_empty());
    assert_eq!(findings, parse(parser, bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn damaged_files_are_read(case: prop::sample::Index, damages in prop::collection::vec(damage(), 1..8)) {
        let case = case.get(CASES.as_slice());
        let mut bytes = case.bytes.clone();
        for damage in &damages {
            apply(&mut bytes, damage);
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
        for end in (0..case.bytes.len()).step_by(1 + case.bytes.len() / 500) {
            check(case.parser, &case.bytes[..end]);
        }
    }
}

#[test]
fn long_monotonous_files_are_read_in_linear_time() {
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
        for parser in REGISTRY.iter().chain(SOURCES) {
            let begun = fixtures::processor_time();
            check(*parser, bytes.as_bytes());
            assert!(
                fixtures::processor_time().saturating_sub(begun).as_secs() < 3,
                "{}: {token:?}",
                parser.name()
            );
        }
    }
}
