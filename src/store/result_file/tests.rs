use super::*;
use crate::store::atomic::{Durability, replace};

/// The packages and the commit in a file with this text.
fn read(text: &str) -> Result<Vec<String>, Unread> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("repo_0.json");
    replace(root.path(), &path, text.as_bytes(), Durability::Eventual).unwrap();
    let mut file = ResultFile::open(&path).unwrap();
    let (mut found, mut places) = (Vec::new(), Vec::new());
    file.read(&["commit"], &mut |part| {
        found.push(match part {
            Part::Package(place, text) => {
                places.push((place, text.to_vec()));
                String::from_utf8_lossy(text).into_owned()
            }
            Part::Member(name, text) => format!("{name}={}", String::from_utf8_lossy(text)),
        });
        Ok(())
    })?;
    assert_eq!(file.first().unwrap(), places.first().map(|(place, _)| *place));
    for (number, (place, _)) in places.iter().enumerate() {
        let mut rest = Vec::new();
        file.read_on(*place, &mut |place, text| {
            rest.push((place, text.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(rest, places[number..]);
    }
    for (place, expected) in places.iter().rev() {
        assert_eq!(file.package(*place).unwrap(), expected, "at {place} of {text:?}");
    }
    Ok(found)
}

#[test]
fn packages_and_members_are_found_anywhere_in_the_file() {
    for (text, expected) in [
        ("{}", &[][..]),
        (r#" {"packages" : [ ] } "#, &[]),
        (
            r#"{"schema":1,"commit":"c","packages":[{"a":"]}\""},{"b":[{}]} ,3, "x" ]}"#,
            &["commit=\"c\"", r#"{"a":"]}\""}"#, r#"{"b":[{}]}"#, "3", "\"x\""],
        ),
        (
            "{\"p\\u0061ckages\":[null],\"other\":{\"packages\":[1]},\n\"commit\":null}",
            &["null", "commit=null"],
        ),
    ] {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }
    // Longer than the buffer, and split at every possible offset.
    let long = "x".repeat(STEP.0 - 40);
    for more in 0..80 {
        let text =
            format!("{{\"{long}{}\":1,\"packages\":[{{\"n\":\"\\\\\"}},2]}}", "y".repeat(more));
        assert_eq!(read(&text).unwrap(), ["{\"n\":\"\\\\\"}", "2"], "{more}");
    }
}

#[test]
fn an_invalid_result_file_is_reported() {
    for text in [
        "",
        "[]",
        "7",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{} x",
        "{\"packages\":{}}",
        "{\"packages\":null}",
        "{\"packages\":[1,]}",
        "{\"packages\":[1",
        "{\"packages\":[{",
        "{\"packages\":[],\"packages\":[]}",
        "{\"a\":\"",
        "{\"packages\":[,1]}",
    ] {
        assert!(matches!(read(text), Err(Unread::Invalid)), "{text}");
    }
    let huge = format!("{{\"packages\":[\"{}\"]}}", "x".repeat(MOST_OF_ONE));
    assert!(matches!(read(&huge), Err(Unread::Invalid)));
    let skipped = format!("{{\"other\":\"{}\",\"packages\":[1]}}", "x".repeat(MOST_OF_ONE));
    assert_eq!(read(&skipped).unwrap(), ["1"]);
}
