//! Text from outside, made fit to be shown: names of files, words of servers and of git.
//!
//! Invariants: what comes out has no character that moves a cursor, begins a new line
//! or turns the direction of reading, and is of bounded length.

use crate::model::unseen::is_unseen;
use std::fmt::Write;

/// A path of a repository: its bytes as text, as far as they are text.
pub(super) fn shown_path(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}

/// The text on one line, what cannot be seen escaped.
pub(super) fn one_line(text: &str) -> String {
    escape(text, |_| false)
}

/// As [`one_line`], with its line breaks left in place.
pub(super) fn many_lines(text: &str) -> String {
    escape(text, |it| it == '\n')
}

/// At most `most` bytes of the text, with a sign where it was cut.
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
    // Nearly every path there is.
    if text.bytes().all(|it| matches!(it, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && !stays(c) {
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
    fn a_path_of_all_bytes_is_shown_without_a_control_character() {
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
