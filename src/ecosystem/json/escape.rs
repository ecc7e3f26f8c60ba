//! The escapes of JSON strings, RFC 8259 section 7.
//!
//! What flows in: what stands between two quotes. What flows out: the text that it means. What
//! must stay true: what is no escape stays as it is written; half of a surrogate pair is U+FFFD.

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
            Some(it @ ('"' | '\\' | '/')) => out.push(it),
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
    let digits = text.get(1..5).filter(|it| it.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let unit = u16::from_str_radix(digits, 16).ok().filter(|_| text.starts_with('u'))?;
    Some((unit, text.get(5..)?))
}
