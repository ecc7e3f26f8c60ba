//! Removes credentials from URLs before they are shown or stored.
//!
//! Input: any text of a file. Output: the text without the userinfo of its URLs. Invariants:
//! credentials are removed before a text is shortened, because half of a secret is still secret.

use std::borrow::Cow;

/// Where the authority of a URL ends, if it does. `text` is the part after `://`.
pub(crate) fn ends_of_authority(text: &str) -> Option<usize> {
    text.find(|character: char| {
        matches!(character, '/' | '?' | '#' | '"' | '`' | ',') || character.is_whitespace()
    })
}

/// The text without what precedes the `@` of a URL's host (RFC 3986 section 3.2.1), which may be a
/// password or a token. The usual user `git@` of ssh stays.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = ends_of_authority(behind).unwrap_or(behind.len());
        let (authority, tail) = behind.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user != "git" => out.push_str(host),
            _ => out.push_str(authority),
        }
        rest = tail;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_urls() {
        for (text, expected) in [
            ("git+https://u:p%40@h.example/x.git@v1#a", "git+https://h.example/x.git@v1#a"),
            ("https://token@h/x https://a:b@c", "https://h/x https://c"),
            ("git+ssh://git@h/x", "git+ssh://git@h/x"),
            ("https://h/x@y", "https://h/x@y"),
            ("^1.0", "^1.0"),
        ] {
            assert_eq!(without_credentials(text), expected);
        }
    }
}
