//! Statements with literal values in the place of names.
//!
//! Input: the words of a statement, and the values of names. Output: the statement as a text. Invariants: a value
//! that has no literal form, or is longer than [`LONGEST_VALUE`], leaves its name.

use super::{super::words::Word, value::Value};

/// The longest value in bytes that replaces a name. No name, version or address of a gem is longer.
pub(super) const LONGEST_VALUE: usize = 300;

/// Whether a statement names a parameter, also within a string.
pub(super) fn uses(statement: &[Word<'_>], parameter: &str) -> bool {
    statement.iter().any(|word| match word {
        Word::Name(name) => *name == parameter,
        Word::Template(text) => text.contains(parameter),
        _ => false,
    })
}

/// The words as a text, with values in the place of names; and whether there was such a name.
pub(super) fn rewritten<'v>(
    statement: &[Word<'_>],
    value: &dyn Fn(&str) -> Option<&'v Value>,
) -> (String, bool) {
    let (mut out, mut has_values, mut at) = (String::new(), false, 0);
    while let Some(word) = statement.get(at) {
        let before = at.checked_sub(1).and_then(|before| statement.get(before));
        let after = statement.get(at + 1);
        at += 1;
        out.push(' ');
        match *word {
            Word::String(text) => push_text(&mut out, text),
            // `A::B` is read as a symbol after a colon.
            Word::Symbol(text) if before == Some(&Word::Mark(':')) => {
                out.pop();
                out.extend([":", text]);
            }
            Word::Symbol(text) => {
                out.push(':');
                push_text(&mut out, text);
            }
            Word::Key(text) => {
                push_text(&mut out, text);
                out.push_str(": ");
            }
            Word::List(text) => push_list(&mut out, text),
            Word::Template(text) => match interpolated(text, value) {
                Some(text) => {
                    has_values = true;
                    push_text(&mut out, &text);
                }
                None => out.extend(["\"", text, "\""]),
            },
            Word::Name(name) => {
                let is_member = matches!(before, Some(Word::Mark('.' | ':')));
                let member = match (after, statement.get(at + 1)) {
                    (Some(Word::Mark('.')), Some(Word::Name(member))) => Some(*member),
                    _ => None,
                };
                let path = member.filter(|_| !is_member);
                let path = path.and_then(|member| value(&format!("{name}.{member}")));
                // `name.to_s` is the text of a symbol.
                let is_converted = matches!(member, Some("to_s" | "freeze" | "dup"));
                let is_alone = !matches!(after, Some(Word::Mark('(' | '.' | ':')));
                let own = if !is_member && (is_alone || is_converted) { value(name) } else { None };
                if path.is_some_and(|value| push_value(&mut out, value)) {
                    has_values = true;
                    at += 2;
                } else if own.is_some_and(|value| push_value(&mut out, value)) {
                    has_values = true;
                    at += if is_converted { 2 } else { 0 };
                } else {
                    out.push_str(name);
                }
            }
            Word::Mark(mark) => {
                // Words are separated, but the parts of `.`, `::` and of calls are not.
                out.pop();
                out.push(mark);
            }
        }
    }
    (out, has_values)
}

/// Appends a literal. False if it has no literal form.
fn push_value(out: &mut String, value: &Value) -> bool {
    match value {
        Value::Text(text) if text.len() <= LONGEST_VALUE => {
            push_text(out, text);
            true
        }
        Value::List(values) => {
            let texts: Option<Vec<&str>> = values
                .iter()
                .map(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
                .collect();
            let Some(texts) = texts else { return false };
            if texts.iter().map(|text| text.len() + 4).sum::<usize>() > LONGEST_VALUE {
                return false;
            }
            out.push('[');
            for text in texts {
                push_text(out, text);
                out.push_str(", ");
            }
            out.push(']');
            true
        }
        _ => false,
    }
}

fn push_text(out: &mut String, text: &str) {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => out.extend(["'", text, "'"]),
        (true, false) => out.extend(["\"", text, "\""]),
        // No literal, so that it is no value: names and versions contain no quotes.
        (true, true) => out.push_str("nil"),
    }
}

fn push_list(out: &mut String, text: &str) {
    let [open, close] = if text.contains(']') { ["%w(", ")"] } else { ["%w[", "]"] };
    out.extend([open, text, close]);
}

/// A text with the values of its expressions; none if one of them is not a name with a literal value.
pub(super) fn interpolated<'v>(
    template: &str,
    value: &dyn Fn(&str) -> Option<&'v Value>,
) -> Option<String> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, behind)) = rest.split_once("#{") {
        let (name, tail) = behind.split_once('}')?;
        let Some(Value::Text(text)) = value(name.trim()) else { return None };
        out.extend([before, text.as_str()]);
        if out.len() > LONGEST_VALUE {
            return None;
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
}
