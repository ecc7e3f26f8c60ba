//! A place in a source, and the steps over what all three languages have.
//!
//! What must stay true: every step goes forward or stays, so a scanner that moves at each turn is
//! linear; a text or a comment that nothing closes ends with the line or the file.

/// A place in the bytes of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'t> {
    bytes: &'t [u8],
    pub(super) at: usize,
}

/// How a text between quotes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// A backslash takes the next character with it.
    Backslash,
    /// Nothing is escaped in a text between three quotes, and further quotes before its end are its own.
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

    /// Steps over this byte, if it is the next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Steps over all that fit.
    pub(super) fn skip_while(&mut self, fits: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.at += rest.iter().position(|it| !fits(*it)).unwrap_or(rest.len());
    }

    /// The word at this place, stepped over; empty where there is none.
    pub(super) fn word(&mut self) -> &'t [u8] {
        let rest = self.rest();
        self.skip_while(is_of_word);
        rest.get(..rest.len() - self.rest().len()).unwrap_or_default()
    }

    /// Steps over this word, if it is the next.
    pub(super) fn eat_word(&mut self, word: &[u8]) -> bool {
        let begin = self.at;
        let is_next = self.word() == word;
        if !is_next {
            self.at = begin;
        }
        is_next
    }

    /// To the end of the line, which is left.
    pub(super) fn skip_line(&mut self) {
        self.skip_while(|it| !is_newline(it));
    }

    /// Over a comment of the C family; whether there was one.
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
            self.skip_while(|it| it != b'*' && it != b'/');
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

    /// Over white space, ends of lines and comments of the C family.
    pub(super) fn skip_space(&mut self, nested: bool) {
        loop {
            self.skip_while(|it| is_blank(it) || is_newline(it));
            if !self.skip_comment(nested) {
                break;
            }
        }
    }

    /// Over white space within the line.
    pub(super) fn skip_blanks(&mut self) {
        self.skip_while(is_blank);
    }

    /// Over the text that begins with the quote at this place.
    pub(super) fn skip_text(&mut self, quoting: Quoting) {
        let Some(quote) = self.peek() else { return };
        let three = [quote; 3];
        let is_long = self.rest().starts_with(&three);
        self.advance(if is_long { 3 } else { 1 });
        let has_escapes = !is_long || quoting == Quoting::Backslash;
        loop {
            self.skip_while(|it| it != quote && it != b'\\' && (is_long || !is_newline(it)));
            match self.peek() {
                None => return,
                Some(b'\\') if has_escapes => {
                    let is_pair = self.rest().starts_with(b"\\\r\n");
                    self.advance(if is_pair { 3 } else { 2 });
                }
                Some(it) if it == quote && is_long => {
                    if self.rest().starts_with(&three) {
                        self.advance(3);
                        if quoting == Quoting::ScalaRaw {
                            self.skip_while(|it| it == quote);
                        }
                        return;
                    }
                    self.advance(1);
                }
                Some(it) if it == quote => return self.advance(1),
                Some(it) if is_newline(it) && !is_long => return,
                Some(_) => self.advance(1),
            }
        }
    }

    /// Whether nothing but white space stands between the line's begin and this place.
    pub(super) fn begins_line(&self) -> bool {
        let before = self.bytes.get(..self.at).unwrap_or_default();
        before.iter().rev().find(|it| !is_blank(**it)).is_none_or(|it| is_newline(*it))
    }
}

/// What words are made of; a character that is not of ASCII may be a letter.
pub(super) fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

pub(super) fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
