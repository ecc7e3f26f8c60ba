//! A recursive-descent parser of JSON with error recovery.
//!
//! Input: a text. Output: a [`Document`]. Invariants: each iteration of a loop moves forward or
//! leaves the loop; the depth is checked before each descent.

use super::{Document, Error, Member, Node, Value, escape::unescape};
use crate::ecosystem::{budget::Budget, text};
use std::borrow::Cow;

/// Deeper values are skipped, with an error. Lock files nest two levels for each package within a
/// package.
const MAX_DEPTH: u32 = 128;

/// The rest of a file with more values is skipped; this bounds the memory.
const MAX_VALUES: usize = 1_000_000;

/// Errors that are kept; a file of noise would give one for each byte.
const MAX_ERRORS: usize = 20;

/// Members that are read and dropped, so that they take no memory: these names in objects of this depth, or in
/// all objects.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ecosystem) struct Ignored {
    pub(in crate::ecosystem) depth: Option<u32>,
    pub(in crate::ecosystem) names: &'static [&'static str],
}

/// Parses a text as far as possible.
pub(super) fn parse<'a>(text: &'a str, ignored: Ignored, budget: &'a Budget) -> Document<'a> {
    budget.read(text.len());
    let errors = Vec::new();
    let (at, line, objects, arrays, values, is_dropping) = (0, 1, 0, 0, 0, false);
    let mut reader =
        Reader { text, at, line, objects, arrays, values, ignored, is_dropping, errors, budget };
    reader.skip_space();
    let root = if reader.peek().is_some() {
        let root = reader.value();
        reader.skip_space();
        if root.is_some() && reader.peek().is_some() {
            reader.error("unexpected text after the end of the document".to_owned());
        }
        root
    } else {
        reader.error("the file is empty".to_owned());
        None
    };
    Document { root, errors: reader.errors }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// How many objects and arrays are open: a `]` inside an object ends the object where an array is
    /// open outside, and is noise where none is.
    objects: u32,
    arrays: u32,
    /// The number of values that are kept.
    values: usize,
    ignored: Ignored,
    /// Whether the value is inside an ignored member.
    is_dropping: bool,
    errors: Vec<Error>,
    budget: &'a Budget,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Advances by one byte and counts lines.
    fn bump(&mut self) {
        if self.peek() == Some(b'\n') {
            self.line = self.line.saturating_add(1);
        }
        self.at += 1;
    }

    /// Skips white space and comments, which many tools allow in their files.
    fn skip_space(&mut self) {
        loop {
            while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
                self.bump();
            }
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            if rest.starts_with(b"//") {
                while self.peek().is_some_and(|byte| byte != b'\n') {
                    self.at += 1;
                }
            } else if rest.starts_with(b"/*") {
                self.at += 2;
                while self.peek().is_some() && !self.ends_comment() {
                    self.bump();
                }
                self.at = self.text.len().min(self.at + 2);
            } else {
                return;
            }
        }
    }

    fn ends_comment(&self) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b"*/"))
    }

    fn error(&mut self, message: String) {
        if self.is_wanted() {
            self.errors.push(Error { line: self.line, message });
        }
    }

    /// Whether another error on this line is useful: one broken spot often breaks several rules, and
    /// the first error describes it best.
    fn is_wanted(&self) -> bool {
        self.errors.last().is_none_or(|error| error.line != self.line)
            && self.errors.len() < MAX_ERRORS
    }

    fn unexpected(&mut self, wanted: &str) {
        if self.is_wanted() {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.error(match rest.split_whitespace().next().map(text::excerpt) {
                Some(token) => format!("expected {wanted}, found `{token}`"),
                None => format!("expected {wanted}, found the end of the file"),
            });
        }
    }

    /// Reads a value. None after noise, or where there are too many values; then the rest is skipped.
    fn value(&mut self) -> Option<Node<'a>> {
        let line = self.line;
        if self.values >= MAX_VALUES {
            self.error(format!(
                "more than {MAX_VALUES} values; the rest of the file is skipped, with its packages"
            ));
            self.at = self.text.len();
            return None;
        }
        if !self.budget.visit() {
            self.at = self.text.len();
            return None;
        }
        self.values += usize::from(!self.is_dropping);
        let value = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => Value::String(self.string()),
            Some(byte) if is_atom(byte) => self.atom()?,
            _ => {
                self.unexpected("a value");
                return None;
            }
        };
        Some(Node { line, value })
    }

    fn atom(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        while self.peek().is_some_and(is_atom) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ if word
                .starts_with(|character: char| character == '-' || character.is_ascii_digit()) =>
            {
                Some(Value::Number(word))
            }
            _ => {
                self.error(format!("`{}` is not a valid value", text::excerpt(word)));
                None
            }
        }
    }

    fn object(&mut self) -> Option<Value<'a>> {
        if self.too_deep() {
            return None;
        }
        self.objects += 1;
        self.bump();
        let mut members = Vec::new();
        let mut separated = true;
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'}') => {
                    self.bump();
                    break;
                }
                Some(b',') => {
                    if separated {
                        self.unexpected("a name");
                    }
                    separated = true;
                    self.bump();
                }
                Some(b'"') => {
                    if !separated {
                        self.unexpected("`,`");
                    }
                    separated = false;
                    let member = self.member();
                    members.extend(member.filter(|_| !self.is_dropping));
                }
                Some(b']') if self.arrays > 0 => {
                    self.unexpected("`}`");
                    break;
                }
                Some(_) => {
                    self.unexpected("a name");
                    self.skip_noise(b"");
                    // The noise may have contained the comma, and was reported already.
                    separated = true;
                }
                None => {
                    self.unexpected("`}`");
                    break;
                }
            }
        }
        self.objects -= 1;
        // Most objects are small, and a file may have a million of them.
        members.shrink_to_fit();
        Some(Value::Object(members))
    }

    fn member(&mut self) -> Option<Member<'a>> {
        let line = self.line;
        let key = self.string();
        self.skip_space();
        if self.peek() != Some(b':') {
            self.unexpected("`:`");
            return None;
        }
        self.bump();
        self.skip_space();
        let Ignored { depth, names } = self.ignored;
        let is_of_depth = depth.is_none_or(|depth| self.objects == depth && self.arrays == 0);
        let (outer, is_ignored) = (self.is_dropping, is_of_depth && names.contains(&key.as_ref()));
        self.is_dropping |= is_ignored;
        let value = self.value();
        self.is_dropping = outer;
        let value = value.filter(|_| !is_ignored)?;
        Some(Member { key, line, value })
    }

    fn array(&mut self) -> Option<Value<'a>> {
        if self.too_deep() {
            return None;
        }
        self.arrays += 1;
        self.bump();
        let mut elements = Vec::new();
        let mut separated = true;
        loop {
            self.skip_space();
            match self.peek() {
                Some(b']') => {
                    self.bump();
                    break;
                }
                Some(b',') => {
                    if separated {
                        self.unexpected("a value");
                    }
                    separated = true;
                    self.bump();
                }
                Some(b'}') if self.objects > 0 => {
                    self.unexpected("`]`");
                    break;
                }
                Some(byte) if matches!(byte, b'{' | b'[' | b'"') || is_atom(byte) => {
                    if !separated {
                        self.unexpected("`,`");
                    }
                    separated = false;
                    let element = self.value();
                    elements.extend(element.filter(|_| !self.is_dropping));
                }
                Some(_) => {
                    self.unexpected("a value");
                    // After a merge conflict marker the next element follows without a comma.
                    self.skip_noise(b"{[");
                    separated = true;
                }
                None => {
                    self.unexpected("`]`");
                    break;
                }
            }
        }
        self.arrays -= 1;
        elements.shrink_to_fit();
        Some(Value::Array(elements))
    }

    /// Skips at least one byte, and on to where a name, a separator or an end may be.
    fn skip_noise(&mut self, ends: &[u8]) {
        self.bump();
        let is_end = |byte: u8| matches!(byte, b'"' | b',' | b'}' | b']') || ends.contains(&byte);
        while self.peek().is_some_and(|byte| !is_end(byte)) {
            self.bump();
        }
    }

    /// At the depth limit, skips the whole value without recursion, with an error.
    fn too_deep(&mut self) -> bool {
        if self.objects + self.arrays < MAX_DEPTH {
            return false;
        }
        self.error(format!("nested deeper than {MAX_DEPTH} levels"));
        let mut open = 0_u64;
        loop {
            match self.peek() {
                Some(b'{' | b'[') => {
                    open += 1;
                    self.bump();
                }
                Some(b'}' | b']') => {
                    open -= 1;
                    self.bump();
                    if open == 0 {
                        return true;
                    }
                }
                Some(b'"') => drop(self.string()),
                Some(_) => self.bump(),
                None => return true,
            }
        }
    }

    /// Reads a string from its opening quote. A string without a closing quote ends with the line.
    fn string(&mut self) -> Cow<'a, str> {
        self.bump();
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    if self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                Some(b'\n') | None => {
                    self.error("unterminated string".to_owned());
                    break;
                }
                Some(_) => self.at += 1,
            }
        }
        // Every byte that ends a run is ASCII, so the run ends between characters; but the byte after
        // a backslash may be the first of several.
        let mut end = self.at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        if self.peek() == Some(b'"') {
            self.at += 1;
        }
        let raw = self.text.get(start..end).unwrap_or_default();
        if escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }
}

fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.' | b'_')
}
