//! Writes the canonical form of a purl (ECMA-427) from its parts.
//!
//! Input: the parts of a purl, not encoded. Output: the purl. Invariants: equal parts give equal purls; only
//! the characters that the specification allows are not encoded.

use packageurl::PackageUrl;

/// The parts of a purl after its type, not encoded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
    pub(crate) qualifiers: &'a [(&'a str, &'a str)],
    pub(crate) subpath: Option<&'a str>,
}

/// The canonical purl of these parts; none where one of them is not valid.
pub(crate) fn write(kind: &str, parts: Parts<'_>) -> Option<String> {
    let mut purl = PackageUrl::new(kind, parts.name).ok()?;
    if let Some(namespace) = parts.namespace {
        purl.with_namespace(namespace).ok()?;
    }
    if let Some(version) = parts.version {
        purl.with_version(version).ok()?;
    }
    for (key, value) in parts.qualifiers {
        purl.add_qualifier(*key, *value).ok()?;
    }
    if let Some(subpath) = parts.subpath {
        purl.with_subpath(subpath).ok()?;
    }
    Some(encode_fully(&purl.to_string()))
}

/// Percent-encodes the segments of a subpath.
pub(super) fn encode_path(path: &str) -> String {
    let mut out = String::new();
    for segment in path.split('/').filter(|segment| !matches!(*segment, "" | "." | "..")) {
        if !out.is_empty() {
            out.push('/');
        }
        for character in segment.chars() {
            if character.is_ascii_alphanumeric() || ".-_~:".contains(character) {
                out.push(character);
            } else {
                push_encoded(&mut out, character);
            }
        }
    }
    out
}

/// Encodes what the `packageurl` crate leaves: by ECMA-427, "Character encoding", only letters, digits,
/// `.-_~` and `:` are not encoded, `/` only between segments (a version has none), and `&` only
/// between qualifiers.
fn encode_fully(purl: &str) -> String {
    let mut out = String::with_capacity(purl.len());
    let mut part = '/';
    for character in purl.chars() {
        if matches!(character, '@' | '?' | '#') {
            part = character;
        }
        match character {
            '!' | '$' | '\'' | '(' | ')' | '*' | ',' => push_encoded(&mut out, character),
            '&' if part != '?' => push_encoded(&mut out, character),
            '/' if part == '@' => push_encoded(&mut out, character),
            _ => out.push(character),
        }
    }
    out
}

fn push_encoded(out: &mut String, character: char) {
    out.extend(percent_encoding::utf8_percent_encode(
        character.encode_utf8(&mut [0; 4]),
        percent_encoding::NON_ALPHANUMERIC,
    ));
}
