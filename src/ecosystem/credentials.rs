//! Credentials in URLs are cut out before anything is shown or stored.
//!
//! What flows in: text of a file. What flows out: the same text, without what may be a password
//! or a token. What must stay true: cut first, shorten then; half of a secret is one too.

use std::borrow::Cow;

/// Where the authority of a URL ends, if it does: `text` is what stands behind `://`.
pub(crate) fn ends_of_authority(text: &str) -> Option<usize> {
    text.find(|it: char| matches!(it, '/' | '?' | '#' | '"' | '`' | ',') || it.is_whitespace())
}

/// The text without what stands before the `@` of a URL's host (RFC 3986 section 3.2.1): it may
/// be a password or a token. The customary `git@` of ssh stays.
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
    fn credentials_are_cut_out_of_urls() {
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
