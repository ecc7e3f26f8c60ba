//! A forge's answer, read entry by entry.
//!
//! Input: the bytes of an answer. Output: a list of entries, each a JSON value or the reason why it
//! is none; or one JSON value; or the reason why the answer as a whole makes no sense.
//!
//! Invariants: what cannot be read in one entry costs that entry alone, as long as its brackets and
//! quotes are closed; text that is no Unicode (bytes that are no UTF-8, surrogates without their other
//! half) is replaced by U+FFFD and costs nothing.

use serde_json::Value;
use std::ops::Range;

/// An answer.
#[derive(Debug)]
pub(super) enum Body {
    List(Vec<Entry>),
    One(Value),
}

/// One entry of a list, or why it cannot be read.
pub(super) type Entry = Result<Value, String>;

/// Reads an answer.
pub(super) fn read(bytes: &[u8]) -> Result<Body, String> {
    let Some(entries) = split(bytes) else {
        return parse(bytes).map(Body::One);
    };
    Ok(Body::List(entries.into_iter().map(|it| parse(&bytes[it])).collect()))
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(&with_whole_surrogates(&text)).map_err(|error| error.to_string())
}

/// Where the entries of a list are; `None` of what is no list, or one that is not closed.
fn split(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let begin = bytes.iter().position(|it| !it.is_ascii_whitespace())?;
    if bytes[begin] != b'[' {
        return None;
    }
    let mut entries = Vec::new();
    let (mut depth, mut in_text, mut escaped) = (1_usize, false, false);
    let mut entry = begin + 1;
    let mut end = None;
    for (at, byte) in bytes.iter().enumerate().skip(begin + 1) {
        if in_text {
            (in_text, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && *byte == b',') {
            entries.push(entry..at);
            entry = at + 1;
        }
        if depth == 0 {
            end = (*byte == b']').then_some(at);
            break;
        }
    }
    let is_blank = |it: &[u8]| it.iter().all(u8::is_ascii_whitespace);
    if !is_blank(&bytes[end? + 1..]) {
        return None;
    }
    if let [only] = &entries[..]
        && is_blank(&bytes[only.clone()])
    {
        return Some(Vec::new());
    }
    let is_list = !entries.iter().any(|it| is_blank(&bytes[it.clone()]));
    is_list.then_some(entries)
}

/// JSON in which each escape of a surrogate that has no other half stands for U+FFFD.
fn with_whole_surrogates(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    // A backslash stands nowhere but in texts, and before what it escapes.
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (unit(rest), unit(rest.get(6..).unwrap_or_default())) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
        };
        whole.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    whole.push_str(rest);
    whole
}

/// The unit of UTF-16 for which the escape at the beginning of a text stands.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|it| it.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The entries of a list, with `Null` for those that cannot be read; or the one value.
    fn told(text: impl AsRef<[u8]>) -> Result<Value, ()> {
        Ok(match read(text.as_ref()).map_err(drop)? {
            Body::List(entries) => entries.into_iter().map(Result::unwrap_or_default).collect(),
            Body::One(value) => value,
        })
    }

    #[test]
    fn an_entry_that_cannot_be_read_costs_itself_alone() {
        let good = json!({ "a": "ä,[{\"\\" });
        for bad in [
            "{\"a\": 1e999}",
            "{\"a\": \"tab\there\"}",
            "{\"a\": \"\\x\"}",
            "{\"a\": nul}",
            "{\"a\" 1}",
            "{\"a\": 1,}",
            "hello",
            &format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        ] {
            let text = format!(" [{good}, {bad} ,{good},7]\n");
            assert_eq!(told(&text), Ok(json!([good, null, good, 7])), "{bad}");
        }
    }

    #[test]
    fn text_that_is_no_unicode_costs_nothing() {
        for (text, expected) in [
            (r#"["\ud800"]"#, "\u{fffd}"),
            (r#"["\udc00x"]"#, "\u{fffd}x"),
            (r#"["\ud800\ud83e\udd80"]"#, "\u{fffd}🦀"),
            (r#"["\uD83E\uDD80"]"#, "🦀"),
            (r#"["\ud800\n"]"#, "\u{fffd}\n"),
            (r#"["\\ud800"]"#, "\\ud800"),
            (r#"["\\\ud800"]"#, "\\\u{fffd}"),
        ] {
            assert_eq!(told(text), Ok(json!([expected])), "{text}");
        }
        assert_eq!(told(b"[\"a\xff\", 1]"), Ok(json!(["a\u{fffd}", 1])));
        assert_eq!(told(r#"{"a": "\ud800"}"#), Ok(json!({ "a": "\u{fffd}" })));
    }

    #[test]
    fn what_is_no_whole_list_is_none() {
        assert_eq!(told(" [ ] "), Ok(json!([])));
        assert_eq!(told("{\"a\": [1]}"), Ok(json!({ "a": [1] })));
        assert_eq!(told("[[1], [2]]"), Ok(json!([[1], [2]])));
        for text in
            ["", "[", "[1", "[1}", "[1,]", "[,1]", "[1]x", "[\"]", "[{]}]", "x", "\\", "\\u"]
        {
            assert_eq!(told(text), Err(()), "{text}");
        }
    }
}
