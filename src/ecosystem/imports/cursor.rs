//! A cursor over the bytes of a source, with the steps that all three languages share.
//!
//! Input: the text of a source. Output: the position after each step. Invariants: every step goes forward
//! or stays, so a scanner that moves in each iteration is linear; an unterminated string or comment ends
//! with the line or the file.

/// A position in the bytes of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t> {
    bytes: &'t [u8],
    pub(super) at: usize,
}

/// How a string ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// A backslash escapes the next character.
    Backslash,
    /// A string between three quotes has no escapes, and may end with more than three quotes.
    ScalaRaw,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, by: usize) {
        self.at = (self.at + by).min(self.bytes.len());
    }

    /// Skips this byte, if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Skips all bytes that match.
    pub(super) fn skip_while(&mut self, fits: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len());
    }

    /// Reads the word at the cursor; empty where there is none.
    pub(super) fn word(&mut self) -> &'t [u8] {
        let rest = self.rest();
        self.skip_while(is_of_word);
        rest.get(..rest.len() - self.rest().len()).unwrap_or_default()
    }

    /// Skips this word, if it is next.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let begin = self.at;
        let is_next = self.word() == word;
        if !is_next {
            self.at = begin;
        }
        is_next
    }

    /// Skips the rest of the line, but not the line break.
    pub(super) fn skip_line(&mut self) {
        self.skip_while(|byte| !is_newline(byte));
    }

    /// Skips a C-style comment. Returns whether there was one.
    pub(super) fn skip_comment(&mut self, nested: bool) -> bool {
        if self.rest().starts_with(b"//") {
            self.skip_line();
            return true;
        }
        if !self.rest().starts_with(b"/*") {
            return false;
        }
        self.advance(2);
        let mut depth = 1_usize;
        while depth > 0 && !self.rest().is_empty() {
            self.skip_while(|byte| byte != b'*' && byte != b'/');
            if self.rest().starts_with(b"*/") {
                depth -= 1;
                self.advance(2);
            } else if nested && self.rest().starts_with(b"/*") {
                depth += 1;
                self.advance(2);
            } else {
                self.advance(1);
            }
        }
        true
    }

    /// Skips white space, line breaks and C-style comments.
    pub(super) fn skip_space(&mut self, nested: bool) {
        loop {
            self.skip_while(|byte| is_blank(byte) || is_newline(byte));
            if !self.skip_comment(nested) {
                break;
            }
        }
    }

    /// Skips white space within the line.
    pub(super) fn skip_blanks(&mut self) {
        self.skip_while(is_blank);
    }

    /// Skips the string whose opening quote is at the cursor.
    pub(super) fn skip_text(&mut self, quoting: Quoting) {
        let Some(quote) = self.peek() else { return };
        let three = [quote; 3];
        let is_long = self.rest().starts_with(&three);
        self.advance(if is_long { 3 } else { 1 });
        let has_escapes = !is_long || quoting == Quoting::Backslash;
        loop {
            self.skip_while(|byte| {
                byte != quote && byte != b'\\' && (is_long || !is_newline(byte))
            });
            match self.peek() {
                None => return,
                Some(b'\\') if has_escapes => {
                    let is_pair = self.rest().starts_with(b"\\\r\n");
                    self.advance(if is_pair { 3 } else { 2 });
                }
                Some(next) if next == quote && is_long => {
                    if self.rest().starts_with(&three) {
                        self.advance(3);
                        if quoting == Quoting::ScalaRaw {
                            self.skip_while(|byte| byte == quote);
                        }
                        return;
                    }
                    self.advance(1);
                }
                Some(next) if next == quote => return self.advance(1),
                Some(next) if is_newline(next) && !is_long => return,
                Some(_) => self.advance(1),
            }
        }
    }

    /// Whether only white space precedes the cursor in its line.
    pub(super) fn begins_line(&self) -> bool {
        let before = self.bytes.get(..self.at).unwrap_or_default();
        before.iter().rev().find(|byte| !is_blank(**byte)).is_none_or(|byte| is_newline(*byte))
    }
}

/// Whether a byte belongs to a word. Characters outside of ASCII may be letters.
pub(super) fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

pub(super) fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
