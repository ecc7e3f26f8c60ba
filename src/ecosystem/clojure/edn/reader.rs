//! The reader of forms: brackets, words and strings.
//!
//! Input: a text. Output: its forms and the errors, each with its line. Invariants: as in [`edn`](super).

use super::{Form, Node};
use crate::ecosystem::{budget::Budget, text};
use std::borrow::Cow;

/// Depth of nested forms.
pub(super) const MAX_DEPTH: usize = 64;

/// Errors of one file.
const MAX_ERRORS: usize = 200;

/// Longest namespace of a map in bytes, because all keys of the map copy it.
const LONGEST_NAMESPACE: usize = 64;

/// The forms of a text, and the errors with their lines.
pub(super) fn forms<'a>(text: &'a str, budget: &Budget) -> (Vec<Node<'a>>, Vec<(u32, String)>) {
    let mut reader = Reader {
        rest: text,
        line: 1,
        open: vec![Frame::new('\0', 1)],
        too_deep: 0,
        namespace: None,
        errors: Vec::new(),
        budget,
    };
    reader.read();
    let forms = reader.open.pop().map(|frame| frame.items).unwrap_or_default();
    (forms, reader.errors)
}

/// A bracket that is open.
struct Frame<'a> {
    /// The closing bracket.
    close: char,
    is_set: bool,
    line: u32,
    items: Vec<Node<'a>>,
    /// How many of the next forms are skipped.
    discarded: usize,
    /// The namespace of the keys of a map: `#:mvn{:version "1.0"}`.
    namespace: Option<&'a str>,
}

impl Frame<'_> {
    fn new(close: char, line: u32) -> Self {
        Self { close, is_set: false, line, items: Vec::new(), discarded: 0, namespace: None }
    }
}

struct Reader<'a, 'b> {
    rest: &'a str,
    line: u32,
    /// The open brackets; the first one stands for the file.
    open: Vec<Frame<'a>>,
    /// The number of open brackets beyond the bound of the depth.
    too_deep: usize,
    /// The namespace for the next map.
    namespace: Option<&'a str>,
    errors: Vec<(u32, String)>,
    budget: &'b Budget,
}

impl<'a> Reader<'a, '_> {
    fn read(&mut self) {
        self.skip_merge_marker();
        while let Some(first) = self.rest.chars().next() {
            if !self.budget.visit() {
                break;
            }
            self.step(first);
        }
        self.too_deep = 0;
        while self.open.len() > 1 {
            self.close_last(None);
        }
    }

    fn step(&mut self, first: char) {
        match first {
            '\n' => {
                self.take(1);
                self.skip_merge_marker();
            }
            ';' => self.take_line(),
            '"' => self.text(),
            '(' | '[' | '{' => {
                self.take(1);
                self.bracket(first, false);
            }
            ')' | ']' | '}' => {
                self.take(1);
                self.close(first);
            }
            '#' => self.dispatch(),
            '^' => {
                self.take(1);
                self.discard();
            }
            '\'' | '`' | '~' | '@' | ',' => drop(self.take(1)),
            '\\' => self.character(),
            _ if first.is_whitespace() => drop(self.take(first.len_utf8())),
            _ => self.word(),
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        let newlines = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        taken
    }

    fn take_line(&mut self) {
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
    }

    fn skip_merge_marker(&mut self) {
        if text::is_merge_marker(self.rest) {
            self.error(self.line, text::MERGE_MARKER.to_owned());
            self.take_line();
        }
    }

    fn error(&mut self, line: u32, message: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push((line, message));
        }
    }

    /// A form after `#`.
    fn dispatch(&mut self) {
        let mut behind = self.rest.chars().skip(1);
        match behind.next() {
            Some('_' | '^') => {
                self.take(2);
                self.discard();
            }
            Some('{') => {
                self.take(2);
                self.bracket('{', true);
            }
            Some('!') => self.take_line(),
            Some(':') => {
                self.take(2);
                let name = self.take(word_len(self.rest));
                self.namespace = Some(name).filter(|name| !name.is_empty());
            }
            // A function or a pattern.
            Some('(' | '"') => drop(self.take(1)),
            // A quoted variable, a symbolic value, an evaluated or conditional form.
            Some('\'' | '#' | '=' | '?') => drop(self.take(2)),
            // A tag, which applies to the next form.
            _ => {
                self.take(1);
                self.take(word_len(self.rest));
            }
        }
    }

    /// Leaves out the next form.
    fn discard(&mut self) {
        if self.too_deep == 0
            && let Some(frame) = self.open.last_mut()
        {
            frame.discarded += 1;
        }
    }

    fn push(&mut self, line: u32, form: Form<'a>) {
        let Some(frame) = self.open.last_mut().filter(|_| self.too_deep == 0) else { return };
        if frame.discarded > 0 {
            frame.discarded -= 1;
        } else {
            frame.items.push(Node { line, form });
        }
    }

    fn bracket(&mut self, open: char, is_set: bool) {
        let namespace = self.namespace.take();
        if self.too_deep > 0 || self.open.len() > MAX_DEPTH {
            if self.too_deep == 0 {
                self.error(self.line, "nested too deeply; the form is skipped".to_owned());
            }
            self.too_deep += 1;
            return;
        }
        let close = match open {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        self.open.push(Frame { is_set, namespace, ..Frame::new(close, self.line) });
    }

    fn close(&mut self, close: char) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            if self.too_deep == 0 {
                self.push(self.line, Form::Symbol(Cow::Borrowed("nil")));
            }
            return;
        }
        // The bound of the depth bounds the search.
        if !self.open.iter().any(|frame| frame.close == close) {
            return self.error(self.line, format!("unexpected `{close}`"));
        }
        while self.close_last(Some(close)) != Some(close) {}
    }

    /// Closes the last open bracket, with an error if it is not the one that a closing bracket closes.
    fn close_last(&mut self, by: Option<char>) -> Option<char> {
        let Frame { close, is_set, line, items, .. } = self.open.pop()?;
        if by != Some(close) {
            self.error(line, format!("unclosed bracket, expected `{close}`"));
        }
        let form = match close {
            ')' => Form::List(items),
            ']' => Form::Vector(items),
            _ if is_set => Form::Set(items),
            _ => Form::Map(items),
        };
        self.push(line, form);
        Some(close)
    }

    /// `\a`, `\newline`, `\(`.
    fn character(&mut self) {
        let line = self.line;
        let first = self.rest.chars().nth(1).map_or(0, char::len_utf8);
        let behind = self.rest.get(1 + first..).unwrap_or_default();
        let written = self.take(1 + first + word_len(behind));
        self.push(line, Form::Symbol(Cow::Borrowed(written)));
    }

    /// A symbol, a keyword or a number.
    fn word(&mut self) {
        let line = self.line;
        let length = word_len(self.rest).max(self.rest.chars().next().map_or(1, char::len_utf8));
        let word = self.take(length);
        let keyword = word.strip_prefix(':').map(|name| name.trim_start_matches(':'));
        let name = self.qualified(keyword.unwrap_or(word));
        self.push(line, if keyword.is_some() { Form::Keyword(name) } else { Form::Symbol(name) });
    }

    /// A name with the namespace of its map, if it is a key: `_/x` has none.
    fn qualified(&self, name: &'a str) -> Cow<'a, str> {
        let map = self.open.last().filter(|frame| frame.items.len().is_multiple_of(2));
        match map.and_then(|frame| frame.namespace) {
            Some(_) if name.starts_with("_/") => Cow::Borrowed(&name[2..]),
            Some(namespace)
                if !name.contains('/')
                    && namespace.len() <= LONGEST_NAMESPACE
                    && self.budget.copy(namespace.len() + name.len()) =>
            {
                Cow::Owned(format!("{namespace}/{name}"))
            }
            _ => Cow::Borrowed(name),
        }
    }

    fn text(&mut self) {
        let line = self.line;
        let body = self.rest.get(1..).unwrap_or_default();
        let mut is_escaped = false;
        let end = body.bytes().position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        });
        if end.is_none() {
            self.error(line, "unterminated string".to_owned());
        }
        // Without a closing quote the text ends with its line, so that the next lines are read.
        let length = end.or_else(|| body.find('\n')).unwrap_or(body.len());
        let content = body.get(..length).unwrap_or_default();
        self.take(1 + length + usize::from(end.is_some()));
        self.push(line, Form::Text(unescaped(content)));
    }
}

/// The length of the symbol, keyword or number at the beginning of a text.
fn word_len(text: &str) -> usize {
    let ends =
        |character: char| character.is_whitespace() || ",;\"()[]{}@^`~\\".contains(character);
    text.find(ends).unwrap_or(text.len())
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n' | 'r' | 't' | 'f' | 'b')) => out.push(' '),
            ('\\', Some(other)) => out.push(other),
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}
