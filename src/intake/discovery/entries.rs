//! Parses a forge's answer entry by entry.
//!
//! Input: the bytes of an answer. Output: a list of entries, each a JSON value or an error; or a
//! single JSON value; or an error for the whole answer. Invariants: an invalid entry does not
//! affect the others, as long as its brackets and quotes are closed; invalid Unicode (invalid
//! UTF-8, lone surrogates) is replaced by U+FFFD.

use serde_json::Value;
use std::ops::Range;

/// An answer.
#[derive(Debug)]
pub(super) enum Body {
    List(Vec<Entry>),
    One(Value),
}

/// One entry of a list, or why it cannot be parsed.
pub(super) type Entry = Result<Value, String>;

/// Parses an answer.
pub(super) fn read(bytes: &[u8]) -> Result<Body, String> {
    let Some(entries) = split(bytes) else {
        return parse(bytes).map(Body::One);
    };
    Ok(Body::List(entries.into_iter().map(|range| parse(&bytes[range])).collect()))
}

fn parse(bytes: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(bytes);
    serde_json::from_str(&without_lone_surrogates(&text)).map_err(|error| error.to_string())
}

/// Parses an answer whose list is a member of this name, and returns the other members, too. An answer
/// without the list is a single value.
pub(super) fn read_member(bytes: &[u8], name: &str) -> Result<(Body, Value), String> {
    let Some(list) = member(bytes, name) else {
        return parse(bytes).map(|value| (Body::One(value), Value::Null));
    };
    let Body::List(entries) = read(&bytes[list.clone()])? else {
        return Err("an incomplete list".to_owned());
    };
    let rest = [&bytes[..list.start], b"null", &bytes[list.end..]].concat();
    Ok((Body::List(entries), parse(&rest)?))
}

/// The position of the list that is a member of this name; `None` if there is no such member, or the list
/// is not complete.
fn member(bytes: &[u8], name: &str) -> Option<Range<usize>> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let (mut text_begin, mut begin) = (0, None);
    for (at, byte) in bytes.iter().enumerate() {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            let is_name = !in_text && depth == 1 && bytes[text_begin + 1..at] == *name.as_bytes();
            if is_name && begin.is_none() {
                begin = list_after(bytes, at + 1);
            }
            continue;
        }
        match byte {
            b'"' => (in_text, text_begin) = (true, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if let Some(begin) = begin
            && at > begin
            && depth == 1
        {
            return Some(begin..at + 1);
        }
    }
    None
}

/// The position of the list that is the value of the key that ends here.
fn list_after(bytes: &[u8], end: usize) -> Option<usize> {
    let mut rest = (end..bytes.len()).filter(|at| !bytes[*at].is_ascii_whitespace());
    let colon = rest.next()?;
    let list = rest.next()?;
    (bytes[colon] == b':' && bytes[list] == b'[').then_some(list)
}

/// The positions of the entries of a list; `None` if the bytes are not a complete list.
fn split(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
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
    let is_blank = |text: &[u8]| text.iter().all(u8::is_ascii_whitespace);
    if !is_blank(&bytes[end? + 1..]) {
        return None;
    }
    if let [only] = &entries[..]
        && is_blank(&bytes[only.clone()])
    {
        return Some(Vec::new());
    }
    let is_list = !entries.iter().any(|range| is_blank(&bytes[range.clone()]));
    is_list.then_some(entries)
}

/// Replaces each escape of a lone surrogate by U+FFFD.
fn without_lone_surrogates(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    // In JSON, backslashes occur only within strings, before the escaped character.
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (utf16_unit(rest), utf16_unit(rest.get(6..).unwrap_or_default())) {
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

/// The UTF-16 unit of the escape at the beginning of a text.
fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The entries of a list, with `Null` for invalid ones; or the single value.
    fn parsed(text: impl AsRef<[u8]>) -> Result<Value, ()> {
        Ok(match read(text.as_ref()).map_err(drop)? {
            Body::List(entries) => entries.into_iter().map(Result::unwrap_or_default).collect(),
            Body::One(value) => value,
        })
    }

    #[test]
    fn an_invalid_entry_does_not_affect_the_others() {
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
            assert_eq!(parsed(&text), Ok(json!([good, null, good, 7])), "{bad}");
        }
    }

    /// Fails if the list in an answer is not found, if another one is taken for it, or if an invalid entry
    /// affects the others.
    #[test]
    fn the_list_may_be_a_member_of_the_answer() {
        let read = |text: &str| {
            let (body, rest) = read_member(text.as_bytes(), "values").map_err(drop)?;
            let Body::List(entries) = body else { return Ok(None) };
            let entries: Value = entries.into_iter().map(Result::unwrap_or_default).collect();
            Ok::<_, ()>(Some((entries, rest["next"].clone())))
        };
        let found = |entries, next| Ok(Some((entries, next)));
        for (text, expected) in [
            (r#"{"values": [], "next": "u"}"#, found(json!([]), json!("u"))),
            (r#" {"next":"u","values":[{"a":[1]},nul,"]}"]} "#, {
                found(json!([{ "a": [1] }, null, "]}"]), json!("u"))
            }),
            (
                r#"{"a":{"values":[1]},"b":"values","c":["values"],"values" :[2]}"#,
                found(json!([2]), json!(null)),
            ),
            (r#"{"x\"values":[1],"values":[3]}"#, found(json!([3]), json!(null))),
            (r#"{"values": {"a": []}}"#, Ok(None)),
            (r#"{"value": [1]}"#, Ok(None)),
            ("[1]", Ok(None)),
            (r#"{"values": [1, 2"#, Err(())),
            (r#"{"values": [1], "next": "#, Err(())),
            (r#"{"values": [1]]"#, Err(())),
            (r#"}{"values": [1]"#, Err(())),
            ("", Err(())),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn invalid_unicode_is_replaced() {
        for (text, expected) in [
            (r#"["\ud800"]"#, "\u{fffd}"),
            (r#"["\udc00x"]"#, "\u{fffd}x"),
            (r#"["\ud800\ud83e\udd80"]"#, "\u{fffd}🦀"),
            (r#"["\uD83E\uDD80"]"#, "🦀"),
            (r#"["\ud800\n"]"#, "\u{fffd}\n"),
            (r#"["\\ud800"]"#, "\\ud800"),
            (r#"["\\\ud800"]"#, "\\\u{fffd}"),
        ] {
            assert_eq!(parsed(text), Ok(json!([expected])), "{text}");
        }
        assert_eq!(parsed(b"[\"a\xff\", 1]"), Ok(json!(["a\u{fffd}", 1])));
        assert_eq!(parsed(r#"{"a": "\ud800"}"#), Ok(json!({ "a": "\u{fffd}" })));
    }

    #[test]
    fn an_incomplete_list_is_an_error() {
        assert_eq!(parsed(" [ ] "), Ok(json!([])));
        assert_eq!(parsed("{\"a\": [1]}"), Ok(json!({ "a": [1] })));
        assert_eq!(parsed("[[1], [2]]"), Ok(json!([[1], [2]])));
        for text in
            ["", "[", "[1", "[1}", "[1,]", "[,1]", "[1]x", "[\"]", "[{]}]", "x", "\\", "\\u"]
        {
            assert_eq!(parsed(text), Err(()), "{text}");
        }
    }
}
