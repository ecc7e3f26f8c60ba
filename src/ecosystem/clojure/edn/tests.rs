//! The reader of forms.

use super::{Form, Node, reader};
use crate::ecosystem::budget::Budget;

fn shown(node: &Node<'_>) -> String {
    let all = |items: &[Node<'_>]| items.iter().map(shown).collect::<Vec<_>>().join(" ");
    match &node.form {
        Form::Symbol(symbol) => symbol.to_string(),
        Form::Keyword(name) => format!(":{name}"),
        Form::Text(text) => format!("<{text}>"),
        Form::List(items) => format!("({})", all(items)),
        Form::Vector(items) => format!("[{}]", all(items)),
        Form::Map(items) => format!("{{{}}}", all(items)),
        Form::Set(items) => format!("#{{{}}}", all(items)),
    }
}

#[track_caller]
fn check(text: &str, expected: &str, expected_errors: &[&str]) {
    let (forms, errors) = reader::forms(text, Budget::alone(text.len()));
    let forms: Vec<_> = forms.iter().map(shown).collect();
    assert_eq!(forms.join(" "), expected, "{text}");
    let found: Vec<_> = errors.iter().map(|(line, error)| format!("{line}: {error}")).collect();
    assert_eq!(found, expected_errors, "{text}");
}

#[test]
fn forms_are_read() {
    check("{:a/b \"c\\\"d\", e-f.g 1.5}", "{:a/b <c\"d> e-f.g 1.5}", &[]);
    check("(a [b #{c}] ; d\n)", "(a [b #{c}])", &[]);
    check("\\( \\newline \\\" a", "\\( \\newline \\\" a", &[]);
    check(
        "#inst \"2024\" #\"a\\d\" #(b %) #'c ~d '(e) ##Inf",
        "<2024> <ad> (b %) c d (e) Inf",
        &[],
    );
    check("#:mvn{:version \"1\" :_/a b, c :d}", "{:mvn/version <1> :a b mvn/c :d}", &[]);
}

#[test]
fn discarded_forms_and_metadata_are_left_out() {
    check("#_a b #_(c d) e", "b e", &[]);
    check("#_#_a b c", "c", &[]);
    check("[#_ #_ a b #_c] ^:d e ^{:f g} h #_^:i j k", "[] e h k", &[]);
}

#[test]
fn broken_forms_lose_only_themselves() {
    check("(a [b c) d", "(a [b c]) d", &["1: unclosed bracket, expected `]`"]);
    check("a ] b", "a b", &["1: unexpected `]`"]);
    check(
        "{a\n[b",
        "{a [b]}",
        &["2: unclosed bracket, expected `]`", "1: unclosed bracket, expected `}`"],
    );
    check("a \"b\nc", "a <b> c", &["1: unterminated string"]);
    check("a\n<<<<<<< HEAD\nb", "a b", &["2: merge conflict marker"]);
}

#[test]
fn the_depth_is_bounded() {
    let text = format!("a {} b {} c", "(".repeat(100_000), ")".repeat(100_000));
    let expected =
        format!("a {}nil{} c", "(".repeat(reader::MAX_DEPTH), ")".repeat(reader::MAX_DEPTH));
    check(&text, &expected, &["1: nested too deeply; the form is skipped"]);
}
