//! The cursor of the YAML reader, and the classification of lines.
//!
//! Input: a text. Output: the content of the text, line by line. Invariants: the cursor only moves
//! forward, unless it returns to a [`Mark`]; the end of each line is searched for once.

/// A cursor in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: u32,
    start: usize,
    /// The offset of the first character in the line that is not white space.
    first: usize,
    /// The number of tabs before that offset. Each counts as two columns, the most common indentation.
    tabs: usize,
    /// The end of the line, without the line break.
    end: usize,
    /// The offset of the next line, if there is one.
    next: Option<usize>,
    pub(super) done: bool,
}

/// A position to return to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a>(Cursor<'a>);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut cursor = Self {
            text,
            at: 0,
            line: 1,
            start: 0,
            first: 0,
            tabs: 0,
            end: 0,
            next: None,
            done: false,
        };
        cursor.enter(0);
        cursor
    }

    fn enter(&mut self, start: usize) {
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.bytes().position(|byte| byte == b'\n');
        self.next = length.map(|offset| start + offset + 1);
        let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.start = start;
        let content = line.trim_start_matches([' ', '\t']);
        let indentation = line.get(..line.len() - content.len()).unwrap_or_default();
        self.first = start + indentation.len();
        self.tabs = indentation.bytes().filter(|byte| *byte == b'\t').count();
        self.at = start;
        self.end = start + line.strip_suffix('\r').unwrap_or(line).len();
    }

    pub(super) fn mark(&self) -> Mark<'a> {
        Mark(*self)
    }

    pub(super) fn return_to(&mut self, Mark(cursor): Mark<'a>) {
        *self = cursor;
    }

    /// Moves to the next line, or sets `done`.
    pub(super) fn next_line(&mut self) {
        if let Some(next) = self.next {
            self.enter(next);
            self.line = self.line.saturating_add(1);
        } else {
            self.stop();
        }
    }

    /// Ends reading.
    pub(super) fn stop(&mut self) {
        self.done = true;
        self.at = self.end;
    }

    /// The next byte of the line.
    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_behind(0)
    }

    pub(super) fn peek_behind(&self, offset: usize) -> Option<u8> {
        let at = self.at + offset;
        if at < self.end { self.text.as_bytes().get(at).copied() } else { None }
    }

    /// The rest of the line.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn skip_rest(&mut self) {
        self.at = self.end;
    }

    pub(super) fn column(&self) -> usize {
        let tabs = if self.at >= self.first { self.tabs } else { 0 };
        self.at - self.start + tabs
    }

    /// Whether only white space precedes the cursor in its line.
    pub(super) fn is_first(&self) -> bool {
        self.at <= self.first
    }

    pub(super) fn skip_spaces(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether only white space and a comment are left of the line.
    pub(super) fn is_rest_blank(&self) -> bool {
        let rest = self.rest();
        let text = rest.trim_start_matches([' ', '\t']);
        let behind_space = text.len() < rest.len() || self.at == self.start || {
            matches!(self.text.as_bytes().get(self.at - 1), Some(b' ' | b'\t'))
        };
        text.is_empty() || (text.starts_with('#') && behind_space)
    }

    /// Whether this byte is here, followed by white space or the end of the line.
    pub(super) fn is_indicator(&self, byte: u8) -> bool {
        self.peek() == Some(byte) && matches!(self.peek_behind(1), None | Some(b' ' | b'\t'))
    }

    /// Whether the line is a document marker.
    pub(super) fn is_marker(&self) -> bool {
        self.at == self.start
            && (self.rest().starts_with("---") || self.rest().starts_with("..."))
            && matches!(self.peek_behind(3), None | Some(b' ' | b'\t'))
    }

    /// Whether the line is a merge conflict marker.
    pub(super) fn is_merge_marker(&self) -> bool {
        const MARKERS: [&str; 4] = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];
        let rest = self.rest();
        self.at == self.start
            && MARKERS.iter().any(|marker| {
                rest.strip_prefix(marker)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
    }

    /// Skips a line that consists of a template statement, or the lines of a statement of several lines.
    /// Leaves the cursor at the begin of the next line.
    pub(super) fn skip_template(&mut self) -> bool {
        const KINDS: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("<%", "%>")];
        // A statement without an end in this many lines counts as one line.
        const MAX_LINES: u32 = 20;
        let line = self.rest().trim_end();
        let Some((_, end)) = KINDS.iter().find(|(begin, _)| line.starts_with(begin)) else {
            return false;
        };
        if line.contains(end) {
            if line.ends_with(end) {
                self.next_line();
            }
            return line.ends_with(end);
        }
        let mark = self.mark();
        for _ in 0..MAX_LINES {
            self.next_line();
            if self.done {
                break;
            }
            if self.rest().contains(end) {
                self.next_line();
                return true;
            }
        }
        self.return_to(mark);
        self.next_line();
        true
    }
}
