//! Escapes of JSON strings, RFC 8259 section 7.
//!
//! Input: the text between two quotes. Output: the decoded text. Invariants: an invalid escape stays
//! as written; half of a surrogate pair becomes U+FFFD.

/// Decodes the escapes of a string.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = behind.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some(character @ ('"' | '\\' | '/')) => out.push(character),
            Some('u') => {
                let (decoded, tail) = code_points(behind);
                out.push(decoded);
                rest = tail;
                continue;
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Decodes `uXXXX`, or `uXXXX\uXXXX` where the two are a surrogate pair.
fn code_points(text: &str) -> (char, &str) {
    let Some((first, rest)) = code_unit(text) else {
        return (char::REPLACEMENT_CHARACTER, text.strip_prefix('u').unwrap_or(text));
    };
    if let Some(single) = char::from_u32(u32::from(first)) {
        return (single, rest);
    }
    let pair = rest.strip_prefix('\\').and_then(code_unit).and_then(|(second, rest)| {
        let joined = char::decode_utf16([first, second]).next()?.ok()?;
        Some((joined, rest))
    });
    pair.unwrap_or((char::REPLACEMENT_CHARACTER, rest))
}

fn code_unit(text: &str) -> Option<(u16, &str)> {
    let digits =
        text.get(1..5).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let unit = u16::from_str_radix(digits, 16).ok().filter(|_| text.starts_with('u'))?;
    Some((unit, text.get(5..)?))
}
