//! Makes foreign text safe to display: file names, messages of servers and of git.
//!
//! Input: bytes or text. Output: text without characters that move a cursor, start a new line or
//! change the reading direction. Invariants: the length is bounded.

use crate::model::control_chars::is_unprintable;
use std::fmt::Write;

/// A path of a repository as text; invalid UTF-8 is replaced.
pub(super) fn shown_path(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}

/// The text on one line, with invisible characters escaped.
pub(super) fn one_line(text: &str) -> String {
    escape(text, |_| false)
}

/// As [`one_line`], with line breaks kept.
pub(super) fn many_lines(text: &str) -> String {
    escape(text, |c| c == '\n')
}

/// At most `most` bytes of the text, with `…` where it was cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

fn escape(text: &str, stays: impl Fn(char) -> bool) -> String {
    // The fast path for nearly all texts.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) && !stays(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_any_bytes_is_shown_without_control_characters() {
        let bytes: Vec<u8> = (1..=255).collect();
        let shown = shown_path(&bytes);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(shown.contains("\\n") && shown.contains("\\u{1b}") && shown.contains('~'));
        assert_eq!(shown_path("a/\u{202e}gnp.exe".as_bytes()), "a/\\u{202e}gnp.exe");
        assert_eq!(shown_path("größe/ü.txt".as_bytes()), "größe/ü.txt");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("größe", 3), "gr…");
        assert_eq!(cut("größe", 4), "grö…");
        assert_eq!(cut("größe", 7), "größe");
        assert_eq!(many_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    }
}
