//! The cursor: where in the text the reader is, and what kind of line lies there.
//!
//! What flows in: a text. What flows out: the places at which something is written, line by line.
//! What must stay true: the cursor only moves forward, unless it returns to a [`Mark`], and its
//! line's end is looked for once for each line.

/// A cursor in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: u32,
    start: usize,
    /// Where in the line something else than spaces begins.
    first: usize,
    /// The end of the line, without its line break.
    end: usize,
    /// Where the next line begins, if there is one.
    next: Option<usize>,
    pub(super) done: bool,
}

/// A place to return to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a>(Cursor<'a>);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut cursor =
            Self { text, at: 0, line: 1, start: 0, first: 0, end: 0, next: None, done: false };
        cursor.enter(0);
        cursor
    }

    fn enter(&mut self, start: usize) {
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest.bytes().position(|it| it == b'\n');
        self.next = length.map(|it| start + it + 1);
        let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.start = start;
        self.first = start + line.len() - line.trim_start_matches([' ', '\t']).len();
        self.at = start;
        self.end = start + line.strip_suffix('\r').unwrap_or(line).len();
    }

    pub(super) fn mark(&self) -> Mark<'a> {
        Mark(*self)
    }

    pub(super) fn return_to(&mut self, Mark(cursor): Mark<'a>) {
        *self = cursor;
    }

    /// Goes to the beginning of the next line, or is done.
    pub(super) fn next_line(&mut self) {
        if let Some(next) = self.next {
            self.enter(next);
            self.line = self.line.saturating_add(1);
        } else {
            self.stop();
        }
    }

    /// Reads no further.
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

    /// What is left of the line.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn skip_rest(&mut self) {
        self.at = self.end;
    }

    pub(super) fn column(&self) -> usize {
        self.at - self.start
    }

    /// Whether nothing but spaces stands before the place in its line.
    pub(super) fn is_first(&self) -> bool {
        self.at <= self.first
    }

    pub(super) fn skip_spaces(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Whether only spaces and a comment are left of the line.
    pub(super) fn is_rest_blank(&self) -> bool {
        let rest = self.rest();
        let text = rest.trim_start_matches([' ', '\t']);
        let behind_space = text.len() < rest.len() || self.at == self.start || {
            matches!(self.text.as_bytes().get(self.at - 1), Some(b' ' | b'\t'))
        };
        text.is_empty() || (text.starts_with('#') && behind_space)
    }

    /// Whether a byte stands here alone: with a space behind it, or the end of the line.
    pub(super) fn is_indicator(&self, byte: u8) -> bool {
        self.peek() == Some(byte) && matches!(self.peek_behind(1), None | Some(b' ' | b'\t'))
    }

    /// Whether a document begins or ends with this line.
    pub(super) fn is_marker(&self) -> bool {
        self.at == self.start
            && (self.rest().starts_with("---") || self.rest().starts_with("..."))
            && matches!(self.peek_behind(3), None | Some(b' ' | b'\t'))
    }

    /// Whether this line is the marker of an unfinished merge.
    pub(super) fn is_merge_marker(&self) -> bool {
        const MARKERS: [&str; 4] = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"];
        let rest = self.rest();
        self.at == self.start
            && MARKERS.iter().any(|it| {
                rest.strip_prefix(it).is_some_and(|it| it.is_empty() || it.starts_with(' '))
            })
    }

    /// Passes a line that is nothing but a statement of a template, or several lines of which
    /// the last one ends it. Goes to the beginning of the line behind it.
    pub(super) fn skip_template(&mut self) -> bool {
        const KINDS: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("<%", "%>")];
        // A statement over more lines than these is taken for one of a line.
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
