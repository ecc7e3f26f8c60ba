//! Decodes files to text, and maps offsets to line numbers.
//!
//! Input: the bytes of a file. Output: its text, and line numbers counted from 1. Invariants: any
//! bytes decode to a text, without a panic; the lines are those that an editor shows.

use super::credentials::{ends_of_authority, without_credentials};
use std::borrow::Cow;

/// The text of a file, without its byte order mark.
///
/// UTF-16 is recognised by its byte order mark: `pip freeze > requirements.txt` writes it in Windows
/// `PowerShell`. All other files are read as UTF-8; invalid bytes become U+FFFD.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        String::from_utf8_lossy(rest)
    } else if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        Cow::Owned(utf16(rest, u16::from_le_bytes))
    } else if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        Cow::Owned(utf16(rest, u16::from_be_bytes))
    } else {
        String::from_utf8_lossy(bytes)
    }
}

fn utf16(bytes: &[u8], join: fn([u8; 2]) -> u16) -> String {
    let (pairs, _odd_byte_at_the_end) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().map(|pair| join(*pair)))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// The offsets at which the lines of a text begin.
#[derive(Debug)]
pub(crate) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: newlines.map(|(at, _)| at + 1).collect() }
    }

    /// The line number of a byte offset; the last line for an offset beyond the end.
    pub(crate) fn at(&self, offset: usize) -> u32 {
        let before = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Whether a line is a conflict marker of an unfinished merge.
pub(crate) fn is_merge_marker(line: &str) -> bool {
    ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|marker| line.starts_with(marker))
}

/// The warning for such a line.
pub(crate) const MERGE_MARKER: &str = "merge conflict marker";

/// A piece of input for a message: one line, shortened, without credentials or control characters.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut line = String::new();
    for (count, character) in without_credentials(beginning(text)).chars().enumerate() {
        if count == LONGEST {
            line.push('…');
            break;
        }
        line.push(if character.is_control() { ' ' } else { character });
    }
    line
}

/// A prefix of a text that is long enough for an excerpt. An address whose authority may go on beyond
/// the prefix is dropped, because the authority may contain credentials.
fn beginning(text: &str) -> &str {
    const LONGEST: usize = 2_000;
    if text.len() <= LONGEST {
        return text;
    }
    let begin = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default();
    match begin.rsplit_once("://") {
        Some((before, authority)) if ends_of_authority(authority).is_none() => before,
        _ => begin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_select_the_encoding() {
        assert_eq!(decode(b"\xef\xbb\xbfa"), "a");
        assert_eq!(decode(b"\xff\xfea\0=\0"), "a=");
        assert_eq!(decode(b"\xfe\xff\0a\0=\0"), "a=");
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decode(b"\xff\xfe\x00\xd8a"), "\u{fffd}");
    }

    #[test]
    fn lines_count_from_one() {
        let lines = Lines::new("a\nb\n\nc");
        assert_eq!([0, 1, 2, 4, 5, 99].map(|at| lines.at(at)), [1, 1, 2, 3, 4, 4]);
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"ä".repeat(100)).chars().count(), 81);
        assert_eq!(excerpt(&"ä".repeat(10_000)).chars().count(), 81);
    }

    /// Fails if the beginning of a long password is shown because its `@` is beyond the prefix.
    #[test]
    fn an_excerpt_of_a_long_address_has_no_part_of_its_credentials() {
        let secret = "secret".repeat(1_000);
        assert_eq!(excerpt(&format!("x https://user:{secret}@h.example/x")), "x https");
        let long = format!("https://user:secret@h.example/{secret}");
        assert!(excerpt(&long).starts_with("https://h.example/secret"));
    }
}
