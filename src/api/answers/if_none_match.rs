//! Conditional requests: compares `If-None-Match` with the current entity tag.
//!
//! Input: the header of a request, and the current tag. Output: whether the client already has
//! this version. The tags themselves are made by the resources: that of `GET /scan/{id}` in
//! `live`, those of static answers in `static_answer`, those of the list of repositories in
//! `repositories`.
//!
//! Invariants: the comparison is the weak one of RFC 9110, section 8.8.3.2; a header that cannot
//! be parsed matches nothing, which costs a body and is always correct.

use warp::http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH};

/// The `If-None-Match` of a request, if it has one.
#[derive(Debug, Clone)]
pub struct IfNoneMatch(Option<HeaderValue>);

impl IfNoneMatch {
    /// Reads the header; of several lines only the first counts.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(IF_NONE_MATCH).cloned())
    }

    /// Whether the client has the version of the tag `current`, so that the answer is 304.
    /// `current` is a complete tag, such as `W/"7-2"`.
    pub fn matches(&self, current: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|header| any_matches(header.as_bytes(), current))
    }
}

fn any_matches(mut list: &[u8], current: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let current = opaque(current);
    // A tag can contain a comma, so the list is parsed tag by tag, not split.
    loop {
        list = list.trim_ascii_start();
        if let Some(rest) = list.strip_prefix(b",") {
            list = rest;
            continue;
        }
        let Some(quoted) = opaque(list).strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = quoted.iter().position(|byte| *byte == b'"') else {
            return false;
        };
        if current.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""))
            == Some(&quoted[..end])
        {
            return true;
        }
        list = &quoted[end + 1..];
    }
}

/// A tag without its weakness prefix, which a weak comparison ignores.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, matches: bool) {
        assert_eq!(any_matches(list.as_bytes(), b"W/\"7,x\""), matches, "{list}");
    }

    #[test]
    fn lists_weak_tags_and_the_star_are_parsed() {
        for list in [
            "*",
            " * ",
            "W/\"7,x\"",
            "\"7,x\"",
            "\"a\", W/\"b\",W/\"7,x\"",
            ",, \"7,x\" ,",
            "\"\",\"7,x\"",
        ] {
            check(list, true);
        }
        for list in
            ["", ",", "7,x", "\"7\"", "w/\"7,x\"", "\"a\" , \"7,x", "\"a\", 7, \"7,x\"", "**"]
        {
            check(list, false);
        }
    }

    #[test]
    fn a_header_that_is_not_text_is_compared_too() {
        let has = |value: Option<&[u8]>| {
            let value = value.map(|value| (IF_NONE_MATCH, HeaderValue::from_bytes(value).unwrap()));
            IfNoneMatch::of(&value.into_iter().collect()).matches(b"W/\"1\"")
        };
        assert!(!has(None));
        assert!(has(Some(b"W/\"1\"")));
        assert!(!has(Some(b"\"\xff\"")));
    }
}
