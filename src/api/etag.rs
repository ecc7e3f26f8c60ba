//! Conditional requests: an `If-None-Match` and the current tag come in, whether the client
//! already has it goes out.
//!
//! What must stay true: the comparison is the weak one of RFC 9110, section 8.8.3.2; a header
//! that is not understood matches nothing, which costs a body and is never wrong.

use warp::http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH};

/// The `If-None-Match` of a request, if it has one.
#[derive(Debug, Clone)]
pub struct IfNoneMatch(Option<HeaderValue>);

impl IfNoneMatch {
    /// That of these headers. Of several lines of it the first counts.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(IF_NONE_MATCH).cloned())
    }

    /// Whether the client has what `current` tags, so that the answer is 304. `current` is a
    /// whole tag, such as `W/"7-2"`.
    pub fn has(&self, current: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|header| any_matches(header.as_bytes(), current))
    }
}

fn any_matches(mut list: &[u8], current: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let current = opaque(current);
    // A comma can be a part of a tag, so the list is read tag by tag, not split.
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

/// A tag without the mark of weakness: weak comparison does not look at it.
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
    fn lists_weak_tags_and_the_star_are_understood() {
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
    fn a_header_that_is_no_text_is_compared_too() {
        let has = |value: Option<&[u8]>| {
            let value = value.map(|value| (IF_NONE_MATCH, HeaderValue::from_bytes(value).unwrap()));
            IfNoneMatch::of(&value.into_iter().collect()).has(b"W/\"1\"")
        };
        assert!(!has(None));
        assert!(has(Some(b"W/\"1\"")));
        assert!(!has(Some(b"\"\xff\"")));
    }
}
