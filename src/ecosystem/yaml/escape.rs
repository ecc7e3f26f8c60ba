//! Escapes of double-quoted scalars, YAML 1.2.2 section 5.7.
//!
//! Input: a line of the text between two quotes. Output: the decoded text. Invariants: an invalid escape
//! stays as written; half of a surrogate pair becomes U+FFFD.

/// Decodes the escapes of a line and appends the result.
pub(super) fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = behind.chars();
        let escape = chars.next();
        rest = chars.as_str();
        match escape {
            Some('x') => rest = code_point(rest, 2, out),
            Some('u') => rest = utf16(rest, out),
            Some('U') => rest = code_point(rest, 8, out),
            Some(character) => match simple(character) {
                Some(meant) => out.push(meant),
                None => out.extend(['\\', character]),
            },
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
}

fn simple(escape: char) -> Option<char> {
    Some(match escape {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\u{b}',
        'f' => '\u{c}',
        'r' => '\r',
        'e' => '\u{1b}',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        ' ' | '"' | '/' | '\\' => escape,
        _ => return None,
    })
}

fn code_point<'a>(text: &'a str, digits: usize, out: &mut String) -> &'a str {
    let (value, rest) = hexadecimal(text, digits).unwrap_or((u32::MAX, text));
    out.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// JSON is a subset of YAML, and JSON writes characters above U+FFFF as surrogate pairs.
fn utf16<'a>(text: &'a str, out: &mut String) -> &'a str {
    let first = hexadecimal(text, 4);
    let second = first.and_then(|(_, rest)| hexadecimal(rest.strip_prefix("\\u")?, 4));
    if let (Some((high @ 0xd800..0xdc00, _)), Some((low @ 0xdc00..0xe000, rest))) = (first, second)
    {
        let joined = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        return rest;
    }
    code_point(text, 4, out)
}

fn hexadecimal(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(number, 16).ok()?, rest))
}
