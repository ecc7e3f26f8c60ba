//! Block scalars: plain, quoted, literal and folded.
//!
//! Input: the position where a scalar begins. Output: its text, with lines folded by YAML 1.2.2 chapters
//! 7.3 and 8.1. Invariants: an unterminated quoted scalar ends with its line, so that the following lines
//! are read.

use super::{
    escape::unescape,
    key::{behind_properties, end_of_plain, quoted_length},
    reader::{Parent, Reader},
};
use std::borrow::Cow;

impl<'a> Reader<'a> {
    /// Reads a key and its colon.
    pub(super) fn key(&mut self) -> Cow<'a, str> {
        let Some(colon) = self.colon() else { return Cow::Borrowed("") };
        let whole = self.text.get(self.at..colon).unwrap_or_default();
        let raw = whole.get(behind_properties(whole)..).unwrap_or_default().trim_end();
        self.at = colon + 1;
        match raw.bytes().next() {
            Some(b'"') => unquoted(raw.get(1..raw.len() - 1).unwrap_or_default(), b'"'),
            Some(b'\'') => unquoted(raw.get(1..raw.len() - 1).unwrap_or_default(), b'\''),
            _ => Cow::Borrowed(raw),
        }
    }

    /// Reads a plain scalar with its continuation lines.
    pub(super) fn plain(&mut self, parent: Parent) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(self.plain_line());
        loop {
            let (line, has_comment) = (self.line, !self.is_at_end());
            self.next_line();
            let only_blank = self.go_to_content();
            let continues = !has_comment
                && only_blank
                && !self.done
                && !self.is_marker()
                && Some(self.column()) > parent
                && self.colon().is_none();
            if !continues {
                return text;
            }
            fold(text.to_mut(), self.line - line);
            let more = self.plain_line();
            text.to_mut().push_str(more);
        }
    }

    fn is_at_end(&self) -> bool {
        self.rest().trim_start_matches([' ', '\t']).is_empty()
    }

    fn plain_line(&mut self) -> &'a str {
        let rest = self.rest();
        let end = end_of_plain(rest);
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Reads a quoted scalar from its opening quote to after its closing quote.
    pub(super) fn quoted(&mut self, parent: Parent) -> Cow<'a, str> {
        let quote = self.peek().unwrap_or(b'"');
        let rest = self.rest();
        if let Some(length) = quoted_length(rest, quote) {
            self.at += length;
            return unquoted(rest.get(1..length - 1).unwrap_or_default(), quote);
        }
        let mark = self.mark();
        self.at += 1;
        let mut out = String::new();
        self.add_line(quote, self.rest().len(), &mut out);
        loop {
            let line = self.line;
            self.next_line();
            self.skip_blank();
            if self.done || self.is_marker() || Some(self.column()) <= parent {
                break;
            }
            let joined = out.ends_with('\u{0}');
            if joined {
                out.pop();
            }
            if !joined || self.line - line > 1 {
                fold(&mut out, self.line - line);
            }
            if let Some(end) = closing(self.rest(), quote) {
                self.add_line(quote, end, &mut out);
                self.at += end + 1;
                return Cow::Owned(out);
            }
            self.add_line(quote, self.rest().len(), &mut out);
        }
        self.return_to(mark);
        self.error("unterminated quoted scalar");
        self.skip_rest();
        Cow::Borrowed(rest.get(1..).unwrap_or_default())
    }

    /// Moves to the next line that is not blank.
    fn skip_blank(&mut self) {
        self.skip_spaces();
        while !self.done && self.peek().is_none() {
            self.next_line();
            self.skip_spaces();
        }
    }

    /// Appends a line of a quoted scalar. A trailing NUL marks that the next line is joined to it.
    fn add_line(&self, quote: u8, end: usize, out: &mut String) {
        let rest = self.rest();
        let whole = rest.get(..end).unwrap_or_default();
        if quote == b'\'' {
            let whole = if end < rest.len() { whole } else { whole.trim_end_matches([' ', '\t']) };
            out.push_str(&whole.replace("''", "'"));
            return;
        }
        let line = if end < rest.len() { whole } else { whole.trim_end_matches([' ', '\t']) };
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if end == rest.len() && backslashes % 2 == 1 {
            unescape(line.get(..line.len() - 1).unwrap_or_default(), out);
            out.push('\u{0}');
        } else {
            unescape(line, out);
        }
    }

    /// Reads a literal or folded scalar from its `|` or `>`.
    pub(super) fn block_scalar(&mut self, parent: Parent) -> Cow<'a, str> {
        let header = self.rest();
        let folded = header.starts_with('>');
        let indicators = header.split([' ', '\t']).next().unwrap_or(header);
        let digit =
            indicators.bytes().find(u8::is_ascii_digit).map(|digit| usize::from(digit - b'0'));
        let mut indentation = digit.map(|digit| parent.map_or(0, |column| column) + digit);
        let mut out = String::new();
        let mut blank = 0;
        self.next_line();
        while !self.done {
            let column = self.column_of_text();
            if self.rest().len() == column {
                blank += 1;
                self.next_line();
                continue;
            }
            let wanted = *indentation.get_or_insert(column);
            if column < wanted || Some(column) <= parent || (parent.is_none() && self.is_marker()) {
                break;
            }
            separate(&mut out, folded, blank);
            blank = 0;
            out.push_str(self.rest().get(wanted..).unwrap_or_default());
            self.next_line();
        }
        if !indicators.contains('-') && !out.is_empty() {
            out.push('\n');
        }
        self.go_to_content();
        Cow::Owned(out)
    }

    /// The number of leading spaces of a line.
    fn column_of_text(&self) -> usize {
        let rest = self.rest();
        rest.len() - rest.trim_start_matches(' ').len()
    }
}

/// Appends the break between two lines of a literal or folded scalar, with blank lines between them.
fn separate(out: &mut String, folded: bool, blank: u32) {
    if out.is_empty() {
        return;
    }
    if folded {
        fold(out, blank + 1);
    } else {
        (0..=blank).for_each(|_| out.push('\n'));
    }
}

/// One line break becomes a space, several become one less.
fn fold(out: &mut String, breaks: u32) {
    if breaks <= 1 {
        out.push(' ');
    } else {
        (1..breaks).for_each(|_| out.push('\n'));
    }
}

/// The offset of the closing quote in a continuation line.
fn closing(line: &str, quote: u8) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'\\' if quote == b'"' => at += 2,
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if *byte == quote => return Some(at),
            _ => at += 1,
        }
    }
}

fn unquoted(raw: &str, quote: u8) -> Cow<'_, str> {
    if quote == b'\'' {
        return if raw.contains("''") {
            Cow::Owned(raw.replace("''", "'"))
        } else {
            Cow::Borrowed(raw)
        };
    }
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape(raw, &mut out);
    Cow::Owned(out)
}
