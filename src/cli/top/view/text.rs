//! Text from elsewhere, as cells of a terminal.
//!
//! Input: any text. Output: text of which each character has the same width in every terminal, as far
//! as possible. Invariants: nothing in it is interpreted by a terminal, changes the reading direction,
//! or is invisible; a character has at most three combining ones.

use crate::{cli::screen, model::control_chars::is_invisible};
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// The most combining characters on one character.
const MAX_COMBINING: usize = 3;
/// The longest part of a text that is read: more than any line has columns.
const MAX_CHARS: usize = 2_000;

/// The text with everything escaped that is not visible.
pub(super) fn visible(text: &str) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_CHARS));
    let mut combining = 0;
    for c in text.chars().take(MAX_CHARS) {
        if is_invisible(c) {
            // Writing to a `String` cannot fail.
            let _ = write!(clean, "{}", c.escape_default());
            combining = 0;
            continue;
        }
        if c.width() == Some(0) {
            combining += 1;
            // These choose between forms of a character, which have different widths.
            let is_selector = matches!(c, '\u{fe00}'..='\u{fe0f}');
            if combining > MAX_COMBINING || is_selector {
                continue;
            }
        } else {
            combining = 0;
        }
        clean.push(c);
    }
    clean
}

/// The text in at most `width` columns; `…` is in place of what does not fit.
pub(super) fn fitted(text: &str, width: usize) -> String {
    screen::cut_end(&visible(text), width)
}

/// The end of the text in at most `width` columns; `…` is in place of what does not fit.
pub(super) fn fitted_end(text: &str, width: usize) -> String {
    screen::cut_start(&visible(text), width)
}

/// The text in at most `lines` lines of `width` columns.
pub(super) fn wrapped(text: &str, width: usize, lines: usize) -> Vec<String> {
    let text = visible(text);
    let mut rows: Vec<String> = vec![String::new()];
    let mut columns = 0;
    for word in text.split_inclusive(' ') {
        let length: usize = word.trim_end().chars().filter_map(UnicodeWidthChar::width).sum();
        if columns > 0 && columns + length > width {
            rows.push(String::new());
            columns = 0;
        }
        for c in word.chars() {
            let length = c.width().unwrap_or(0);
            if columns + length > width && c != ' ' {
                rows.push(String::new());
                columns = 0;
            }
            if let Some(row) = rows.last_mut() {
                row.push(c);
            }
            columns += length;
        }
    }
    if rows.len() > lines {
        let rest = rows.split_off(lines.saturating_sub(1)).concat();
        rows.push(screen::cut_end(&rest, width));
    }
    rows.truncate(lines);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn nothing_is_interpreted_by_a_terminal() {
        for (text, expected) in [
            ("\u{1b}[2Ja\tb\r\n", "\\u{1b}[2Ja\\tb\\r\\n"),
            ("a\u{202e}b\u{200b}c", "a\\u{202e}b\\u{200b}c"),
            ("e\u{301}\u{301}\u{301}\u{301}\u{301}x\u{301}", "e\u{301}\u{301}\u{301}x\u{301}"),
            ("⚠\u{fe0f}群组", "⚠群组"),
        ] {
            assert_eq!(visible(text), expected);
        }
        assert_eq!(fitted("群组群组", 5), "群组…");
        assert!(visible(&"\u{9b}".repeat(1 << 20)).len() < 100_000);
    }

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("one two three", 8, 3), ["one two ", "three"]);
        assert_eq!(wrapped("one two three four", 8, 2), ["one two ", "three f…"]);
        assert_eq!(wrapped("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrapped("", 4, 9), [""]);
        for width in 1..20 {
            for line in wrapped("群 a-long-word and 群组群组 others", width, 4) {
                assert!(line.trim_end().width() <= width.max(2), "{width}: {line:?}");
            }
        }
    }
}
