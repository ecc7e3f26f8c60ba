use super::{reader::parse, *};
use crate::ecosystem::budget::Budget;

/// Compares the tree as compact JSON, followed by one line for each error.
#[track_caller]
fn check(text: &str, expected: &str) {
    let document = parse(text, Ignored::default(), Budget::alone(1 << 24));
    let mut lines = vec![document.root.as_ref().map_or_else(|| "nothing".to_owned(), show)];
    lines.extend(document.errors.iter().map(|error| format!("{}: {}", error.line, error.message)));
    assert_eq!(lines.join("\n"), expected, "{text}");
}

fn show(node: &Node<'_>) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => (*number).to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(elements) => {
            format!("[{}]", elements.iter().map(show).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|member| format!("{}:{}", member.key, show(&member.value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

#[test]
fn valid_documents_are_parsed() {
    check(
        r#"{"a": [1, -2.5e3, true, null], "b": {"c": "d"}, "e": []}"#,
        "{a:[1,-2.5e3,true,null],b:{c:\"d\"},e:[]}",
    );
    check(r#""A\u00e9\ud83d\ude00\n\/\"""#, "\"Aé😀\\n/\\\"\"");
}

#[test]
fn a_truncated_file_keeps_what_it_has() {
    check(
        "{\"a\": {\"b\": 1,\n\"c\": {\"d\": \"x",
        "{a:{b:1,c:{d:\"x\"}}}\n2: unterminated string",
    );
    check("{\"a\": 1,\n\"b\"", "{a:1}\n2: expected `:`, found the end of the file");
    check("[1, {", "[1,{}]\n1: expected `}`, found the end of the file");
    check("", "nothing\n1: the file is empty");
    check(" \n ", "nothing\n2: the file is empty");
}

#[test]
fn stray_tokens_lose_only_what_they_hit() {
    check("{\"a\": nul, \"b\": 1}", "{b:1}\n1: `nul` is not a valid value");
    check("{\"a\": 1,\n\"b\": 2,\n}", "{a:1,b:2}");
    check("{\"a\": 1\n\"b\": 2}", "{a:1,b:2}\n2: expected `,`, found `\"b\":`");
    check("{\"a\" \"b\": 2}", "{b:2}\n1: expected `:`, found `\"b\":`");
    check("{\"a\": , \"b\": 2}", "{b:2}\n1: expected a value, found `,`");
    check("[1 2,, ?, 3}]", "[1,2,3]\n1: expected `,`, found `2,,`");
    check("{\"a\": [1, \"b\": 2}", "{a:[1,\"b\"]}\n1: expected a value, found `:`");
    check(
        "{\"a\": \"x\n\"b\": 2}",
        "{a:\"x\",b:2}\n1: unterminated string\n2: expected `,`, found `\"b\":`",
    );
}

#[test]
fn merge_conflict_markers_keep_both_sides() {
    check(
        "{\n<<<<<<< HEAD\n\"a\": 1,\n=======\n\"a\": 2,\n>>>>>>> main\n\"b\": 3\n}",
        "{a:1,a:2,b:3}\n2: expected a name, found `<<<<<<<`\n4: expected a name, found `=======`\n6: expected a name, found `>>>>>>>`",
    );
}

#[test]
fn merge_conflict_markers_keep_both_sides_of_an_array() {
    check(
        "[\n<<<<<<< HEAD\n{\"a\": 1},\n=======\n{\"a\": 2},\n>>>>>>> main\n[3]\n]",
        "[{a:1},{a:2},[3]]\n2: expected a value, found `<<<<<<<`\n4: expected a value, found `=======`\n6: expected a value, found `>>>>>>>`",
    );
}

#[test]
fn lines_are_those_of_names_and_values() {
    let document = parse("{\n\n \"a\":\n  5}", Ignored::default(), Budget::alone(1 << 24));
    let root = document.root.unwrap();
    let member = &root.members().unwrap()[0];
    assert_eq!((member.line, member.value.line), (3, 4));
}

#[test]
fn depth_and_time_are_bounded() {
    for open in ["[", "{\"a\":", "[{\"a\":", "{\"", "\\", "\"\\", ",", "?", "[1 ", "{\"a\"?"] {
        let text = open.repeat(1_000_000);
        let document = parse(&text, Ignored::default(), Budget::alone(1 << 24));
        assert!(!document.errors.is_empty(), "{open}");
    }
    let deep = format!("[{}1{}, 2]", "[".repeat(500), "]".repeat(500));
    let document = parse(&deep, Ignored::default(), Budget::alone(1 << 24));
    assert_eq!(document.errors.len(), 1);
    assert!(show(&document.root.unwrap()).ends_with(",2]"));
}

/// Fails if the tree of a file of small values is unbounded.
#[test]
fn values_are_bounded_and_the_first_ones_are_kept() {
    let text = format!("{{\"a\": 1, \"b\": [{}", "[0],".repeat(600_000));
    let document = parse(&text, Ignored::default(), Budget::alone(1 << 24));
    assert_eq!(document.errors.len(), 1);
    assert_eq!(
        document.errors[0].message,
        "more than 1000000 values; the rest of the file is skipped, with its packages"
    );
    let root = document.root.unwrap();
    assert_eq!(root.get("a").map(|member| &member.value), Some(&Value::Number("1")));
    let Some(Value::Array(elements)) = root.get("b").map(|member| &member.value) else { panic!() };
    assert!((400_000..600_000).contains(&elements.len()));
}

/// Fails if a member that is not needed is kept, or one of the same name elsewhere is not.
#[test]
fn members_are_ignored_by_depth_and_name() {
    let text = r#"{"a": 1, "b": {"a": [{"c": 2}], "c": {"a": 3}}, "d": [{"a": 4}]}"#;
    let ignored = Ignored { depth: Some(2), names: &["a"] };
    let document = parse(text, ignored, Budget::alone(1 << 24));
    let shown = document.root.as_ref().map(show).unwrap();
    assert_eq!(shown, "{a:1,b:{c:{a:3}},d:[{a:4}]}");
    assert!(document.errors.is_empty());
}

/// Fails if ignored members count towards the values that are kept.
#[test]
fn ignored_members_are_read_past_the_limit() {
    let text = format!("{{\"x\": [{{\"a\": [{}1]}}], \"b\": 2}}", "[0],".repeat(600_000));
    let ignored = Ignored { depth: None, names: &["a"] };
    let document = parse(&text, ignored, Budget::alone(1 << 24));
    assert_eq!(document.root.as_ref().map(show).as_deref(), Some("{x:[{}],b:2}"));
    assert!(document.errors.is_empty());
}

#[test]
fn comments_are_skipped() {
    let text =
        "// {\n{ /* \"a\": 1,\n */ \"b\": // c\n 2, \"d\": [/**/ \"//\", \"/*\",], }\n/* open";
    check(text, "{b:2,d:[\"//\",\"/*\"]}");
    let document = parse("{/*\n\n*/\"a\"\n//\n: 5}", Ignored::default(), Budget::alone(1 << 24));
    let root = document.root.unwrap();
    let member = &root.members().unwrap()[0];
    assert_eq!((member.line, member.value.line), (3, 5));
}
