//! Tests of the parts of a log, and of logs that change while they are read.

use super::*;
use crate::store::atomic::{Durability, replace};

#[test]
fn ranges_are_parsed_as_in_the_rfc() {
    for (text, length, expected) in [
        ("bytes=0-4", 10, Some(Ok(Part::Bytes(0, 4)))),
        ("bytes=5-", 10, Some(Ok(Part::Bytes(5, 9)))),
        ("bytes=-3", 10, Some(Ok(Part::Bytes(7, 9)))),
        ("bytes=-30", 10, Some(Ok(Part::Bytes(0, 9)))),
        ("bytes=8-99", 10, Some(Ok(Part::Bytes(8, 9)))),
        ("bytes=10-", 10, Some(Err(()))),
        ("bytes=0-", 0, Some(Err(()))),
        ("bytes=-0", 10, Some(Err(()))),
        ("bytes=4-2", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=99999999999999999999-", 10, None),
    ] {
        assert_eq!(parse_range(text, length), expected, "{text}");
    }
}

#[test]
fn the_last_lines_are_found() {
    let root = tempfile::tempdir().unwrap();
    let long = format!("{}\n", "x".repeat(99)).repeat(2000);
    let last = &long[long.len() - 1500 * 100..];
    for (text, lines, expected) in [
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 1, "c"),
        ("a\nb\n", 9, "a\nb\n"),
        ("a\n", 0, ""),
        ("", 3, ""),
        ("\n\n", 1, "\n"),
        (&long, 1500, last),
        (&long, 2000, &long),
        (&long, 2001, &long),
    ] {
        let path = root.path().join("log");
        replace(root.path(), &path, text.as_bytes(), Durability::Eventual).unwrap();
        let file = File::open(&path).unwrap();
        let start = start_of_lines(&file, text.len() as u64, lines).unwrap();
        assert_eq!(text[usize::try_from(start).unwrap()..], *expected, "{lines} of {text:?}");
    }
}

#[test]
fn an_answer_with_a_restarted_log_is_aborted() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log");
    let begin = || {
        replace(root.path(), &path, &vec![b'a'; 3 * PIECE], Durability::Eventual).unwrap();
        let file = File::open(&path).unwrap();
        let position = LogPosition::new(&file, 0).unwrap();
        let mut log = LogBytes { file, position, end: 3 * PIECE as u64 };
        assert!(log.produce(&mut Vec::new()).unwrap());
        log
    };
    let mut rest = Vec::new();
    let mut log = begin();
    while log.produce(&mut rest).unwrap() {}
    assert_eq!(rest, vec![b'a'; 2 * PIECE]);
    for anew in [&[][..], &vec![b'b'; 4 * PIECE]] {
        let mut log = begin();
        std::fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, anew))
            .unwrap();
        assert!(log.produce(&mut Vec::new()).is_err(), "{}", anew.len());
    }
}
