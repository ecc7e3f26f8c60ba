//! Truncated sources, and sources whose strings and comments look like imports.

use super::{Imports, SOURCES, names::FileImports, source_parser_for};
use crate::ecosystem::{SourceFile, fixtures};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn names(path: &str, bytes: &[u8]) -> BTreeMap<String, u32> {
    let parser = source_parser_for(path).unwrap();
    parser.parse(SourceFile::alone(path, bytes)).into_fact::<FileImports>().names
}

/// A truncated file gives the imports before the cut, except for the one that is cut.
#[test]
fn every_prefix_of_a_source_is_parsed() {
    let is_source = |name: &str| SOURCES.iter().any(|parser| parser.name() == name);
    let cases: Vec<_> =
        fixtures::all().into_iter().filter(|case| is_source(case.parser.name())).collect();
    assert!(cases.len() > 15);
    for case in cases {
        let whole = names(&case.path, &case.bytes);
        for end in 0..case.bytes.len() {
            let lines = case.bytes[..end].split(|byte| *byte == b'\n').count();
            let last = u32::try_from(lines).unwrap();
            for (name, line) in names(&case.path, &case.bytes[..end]) {
                assert!(line <= last, "{} {end}: {name}", case.path);
            }
        }
        assert!(whole.values().all(|line| *line > 0));
    }
}

/// Text that ends no string or comment of any of the three languages.
fn prose() -> impl Strategy<Value = String> {
    "([a-z ();:#{}.,*=é'\n]|import hidden\\.a\n|from hidden import b\n){0,60}"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn text_in_docstrings_is_never_an_import(prose in prose()) {
        let source = format!("import a\nx = \"\"\"\n{prose}\n\"\"\"\nimport b\n");
        let found = names("a.py", source.as_bytes());
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn text_in_comments_is_never_an_import(prose in prose()) {
        let prose = prose.replace('*', "");
        for (path, end) in [("A.java", ";"), ("a.scala", "")] {
            let source = format!("import a.B{end}\n/** {prose}\n*/\nimport c.D{end}\n");
            let found = names(path, source.as_bytes());
            prop_assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "c"]);
        }
    }

    #[test]
    fn text_in_long_strings_is_never_an_import(prose in prose()) {
        let source = format!("import a.B\nval x = s\"\"\"\n{prose}\n\"\"\"\nimport c.D\n");
        let found = names("a.scala", source.as_bytes());
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "c"]);
    }
}

/// Fails if the memory for paths is unbounded: each path may add sixty folders, and each name a path.
#[test]
fn memory_is_bounded_for_paths_of_any_length() {
    let deep = "folder/".repeat(60);
    let mut imports = Imports::default();
    for number in 0..10_000 {
        imports.see(&format!("{number}/{deep}a.py"));
    }
    assert!(imports.has_too_many_modules());
    let mut imports = Imports::default();
    imports.see("a/b.py");
    assert!(!imports.has_too_many_modules());
    for number in 0..2_000 {
        let path = format!("{}/{number}.py", "d".repeat(20_000));
        let text = format!("import name{number}\n");
        let file = SourceFile::alone(&path, text.as_bytes());
        let parser = source_parser_for(&path).unwrap();
        imports.add(parser.parse(file).into_fact());
    }
    let (packages, warnings) = imports.resolve(&[]);
    assert!((1_000..2_000).contains(&packages.len()), "{}", packages.len());
    assert!(warnings[0].message.contains("is omitted"), "{warnings:?}");
}
