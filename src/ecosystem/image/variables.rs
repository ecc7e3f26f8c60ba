//! Expands variables: `$NAME`, `${NAME}`, and `${NAME:-default}`, whose default may contain variables.
//!
//! Input: a text, and a lookup of values. Output: the text with the known values inserted. Invariants: an
//! unknown variable stays as written, and the output is bounded.

use std::collections::HashMap;

/// Longest text in bytes; this bounds values that contain each other.
const LONGEST: usize = 4096;

/// Depth to which defaults within defaults are expanded.
const MAX_DEPTH: u32 = 4;

/// Expands the variables that are known or have a default.
pub(in crate::ecosystem) fn expand<'v>(
    text: &str,
    known: impl Fn(&str) -> Option<&'v str>,
) -> String {
    expand_within(text, &known, MAX_DEPTH)
}

fn expand_within<'v>(text: &str, known: &dyn Fn(&str) -> Option<&'v str>, depth: u32) -> String {
    // Longer texts are not expanded, so that the work for one text is bounded.
    if text.len() > LONGEST {
        return text.to_owned();
    }
    let braces = Braces::of(text);
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let (value, default, length) = match variable(behind, text.len() - behind.len(), &braces) {
            Some((name, default, length)) => {
                let value = known(name).filter(|value| default.is_none() || !value.is_empty());
                (value, default, length)
            }
            None => (None, None, 0),
        };
        let written = behind.get(..length).unwrap_or_default();
        match (value, default) {
            (Some(value), _) => out.push_str(value),
            (None, Some(default)) if depth > 0 => {
                out.push_str(&expand_within(default, known, depth - 1));
            }
            (None, Some(default)) => out.push_str(default),
            (None, None) => out.extend(["$", written]),
        }
        if out.len() > LONGEST {
            return text.to_owned();
        }
        rest = behind.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Parses the variable after a `$`: its name, its default, and its length as written. `at` is the offset
/// of `text` in the text of the braces.
fn variable<'t>(
    text: &'t str,
    at: usize,
    braces: &Braces,
) -> Option<(&'t str, Option<&'t str>, usize)> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let Some(inner) = text.strip_prefix('{') else {
        let end = text.find(|character| !is_name(character)).unwrap_or(text.len());
        return (end > 0).then(|| (text.get(..end).unwrap_or_default(), None, end));
    };
    let end = braces.closing(at)?.checked_sub(at + 1)?;
    let inner = inner.get(..end)?;
    let name_end = inner.find(|character| !is_name(character)).unwrap_or(inner.len());
    let (name, operator) = inner.split_at(name_end);
    let default = operator.strip_prefix(":-").or_else(|| operator.strip_prefix('-'));
    let is_plain = operator.is_empty() || operator.starts_with([':', '?']);
    (!name.is_empty() && (is_plain || default.is_some())).then_some((name, default, end + 2))
}

/// The matching braces of a text: the offset of the closing brace by that of the opening one.
#[derive(Debug)]
struct Braces(HashMap<usize, usize>);

impl Braces {
    fn of(text: &str) -> Self {
        let mut closing = HashMap::new();
        let mut open = Vec::new();
        for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'{' | b'}')) {
            if byte == b'{' {
                open.push(at);
            } else if let Some(opened) = open.pop() {
                closing.insert(opened, at);
            }
        }
        Self(closing)
    }

    /// The offset of the brace that closes the one at this offset.
    fn closing(&self, at: usize) -> Option<usize> {
        self.0.get(&at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_variables_are_expanded() {
        let known = |name: &str| match name {
            "A" => Some("1"),
            "EMPTY" => Some(""),
            _ => None,
        };
        for (text, expected) in [
            ("x:$A-y", "x:1-y"),
            ("x:${A}.${A:-2}", "x:1.1"),
            ("${B:-2}${B-3}${EMPTY:-4}", "234"),
            ("$B${B}${B:?no}$", "$B${B}${B:?no}$"),
            ("${B:-${C}}", "${C}"),
            ("x:${B:-${C:-${A}}}", "x:1"),
            ("${A", "${A"),
            ("${A%x}", "${A%x}"),
            ("}${A}{${A}}", "}1{1}"),
            ("${${A}", "${1"),
        ] {
            assert_eq!(expand(text, known), expected, "{text}");
        }
        let long = "$L".repeat(10_000);
        assert_eq!(expand(&long, |_| Some("long")), long);
    }
}
