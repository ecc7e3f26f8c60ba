//! Splits a script into tokens.
//!
//! Input: a text and its language. Output: words, strings, marks and line ends, each with its line. Follows
//! the lexical sections of the languages' specifications as far as manifests need them.
//!
//! Invariants: the time is linear, and the number of tokens bounded. Interpolated names stay in a string as
//! `${…}` where manifests use that, for [`expression`](crate::ecosystem::expression) to expand. An
//! unterminated string ends with its line, unless it is a multi-line string.

use super::{Dialect, Token, Tokens};
use crate::ecosystem::text::MERGE_MARKER;
use std::borrow::Cow;

/// Tokens of one script; this bounds the memory.
const MAX_TOKENS: usize = 1_000_000;

/// Warnings of one script; this bounds files of nothing but merge conflict markers.
const MAX_WARNINGS: usize = 20;
const MERGE_MARKERS: [&str; 3] = ["<<<<<<<", "=======", ">>>>>>>"];

/// Splits a text into tokens.
pub(crate) fn tokens(text: &str, dialect: Dialect) -> Tokens<'_> {
    let mut lexer = Lexer { rest: text, line: 1, dialect, tokens: Tokens::default() };
    while !lexer.rest.is_empty() {
        if lexer.tokens.len() >= MAX_TOKENS {
            lexer.tokens.warnings.push((lexer.line, "the script is too long; the rest is skipped"));
            break;
        }
        lexer.next();
    }
    lexer.tokens.connect();
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    dialect: Dialect,
    tokens: Tokens<'a>,
}

impl<'a> Lexer<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        let newlines = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        taken
    }

    fn push(&mut self, token: Token<'a>) {
        self.tokens.all.push((token, self.line));
    }

    fn next(&mut self) {
        let Some(first) = self.rest.chars().next() else { return };
        if self.begins_line() && MERGE_MARKERS.iter().any(|marker| self.rest.starts_with(marker)) {
            if self.tokens.warnings.len() < MAX_WARNINGS {
                self.tokens.warnings.push((self.line, MERGE_MARKER));
            }
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if let Some(length) = self.comment() {
            self.take(length);
        } else if first == '\n' {
            self.push(Token::EndOfLine);
            self.take(1);
        } else if first.is_whitespace() {
            self.take(first.len_utf8());
        } else if first == '\\' && is_line_end(&self.rest[1..]) {
            self.take(self.rest.find('\n').map_or(1, |offset| offset + 1));
        } else if first == '`' && self.dialect != Dialect::Python {
            self.backquoted();
        } else if self.dialect == Dialect::Hcl && (first == '"' || self.rest.starts_with("<<")) {
            self.template(first == '"');
        } else if self.dialect == Dialect::Lua && self.rest.starts_with("[[") {
            let body = self.rest.get(2..).unwrap_or_default();
            let length = body.find("]]").unwrap_or(body.len());
            self.push(Token::Text(Cow::Borrowed(body.get(..length).unwrap_or_default())));
            self.take(length + 4);
        } else if self.begins_text(first) {
            self.text("");
        } else if is_of_word(first) {
            let dashes = self.dialect.has_dashes_in_names();
            let ends = |character: char| !(is_of_word(character) || dashes && character == '-');
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let word = self.take(end);
            if self.is_prefix(word) {
                self.text(word);
            } else {
                self.push(Token::Word(word));
            }
        } else {
            self.push(Token::Mark(first));
            self.take(first.len_utf8());
        }
    }

    fn begins_line(&self) -> bool {
        matches!(self.tokens.all.last(), None | Some((Token::EndOfLine, _)))
    }

    /// The length of the comment that begins here.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest;
        let block = self.dialect.block_comment();
        if let Some((open, close)) = block.filter(|(open, _)| rest.starts_with(open)) {
            let end = rest.get(open.len()..)?.find(close);
            return Some(end.map_or(rest.len(), |offset| open.len() + offset + close.len()));
        }
        let begins = self.dialect.line_comments().iter().any(|mark| rest.starts_with(mark));
        begins.then(|| rest.find('\n').unwrap_or(rest.len()))
    }

    /// Reads a name in backquotes.
    fn backquoted(&mut self) {
        let body = &self.rest[1..];
        match body.find(['`', '\n']) {
            Some(end) if body[end..].starts_with('`') => {
                let name = body.get(..end).unwrap_or_default();
                self.push(Token::Word(name));
                self.take(end + 2);
            }
            _ => drop(self.take(1)),
        }
    }

    fn begins_text(&self, first: char) -> bool {
        match (first, self.dialect) {
            ('"', _) => true,
            ('\'', dialect) if dialect.has_single_quotes() => true,
            // A character literal, where `'` does not enclose strings.
            ('\'', Dialect::Kotlin | Dialect::Scala) => {
                let mut rest = self.rest.chars().skip(1);
                let escaped = rest.next() == Some('\\');
                rest.nth(usize::from(escaped)) == Some('\'')
            }
            // A slashy string, where no division is possible.
            ('/', Dialect::Groovy) => {
                let before = self.tokens.all.last().map(|(token, _)| token);
                let near = self.rest.bytes().skip(1).take(200);
                let is_closed = near.take_while(|byte| *byte != b'\n').any(|byte| byte == b'/');
                is_closed && matches!(before, Some(Token::Mark('(' | ',' | '=' | '~')))
            }
            _ => false,
        }
    }

    /// Whether a word directly before a quote is the prefix of a string.
    fn is_prefix(&self, word: &str) -> bool {
        self.rest.starts_with(['"', '\''])
            && if self.dialect == Dialect::Scala {
                self.rest.starts_with('"') && matches!(word, "s" | "f" | "raw")
            } else {
                let known = |byte: u8| b"rbuf".contains(&byte.to_ascii_lowercase());
                self.dialect == Dialect::Python && word.len() <= 2 && word.bytes().all(known)
            }
    }

    /// Reads the string whose opening quote is here.
    fn text(&mut self, prefix: &str) {
        let quote = self.rest.chars().next().unwrap_or('"');
        let is_double = quote == '"';
        let triple = [quote; 3].iter().collect::<String>();
        let is_long = quote != '/'
            && self.rest.starts_with(&triple)
            && (is_double || matches!(self.dialect, Dialect::Groovy | Dialect::Python));
        let quotes = if is_long { 3 } else { 1 };
        let has = |character: char| prefix.to_ascii_lowercase().contains(character);
        let (interpolates, is_raw) = match self.dialect {
            Dialect::Groovy => (is_double, quote == '/'),
            Dialect::Kotlin => (is_double, is_long),
            Dialect::Scala => (!prefix.is_empty(), is_long),
            Dialect::Python => (has('f'), has('r')),
            _ => (false, self.dialect == Dialect::Nim && is_long),
        };
        let body = self.rest.get(quotes..).unwrap_or_default();
        let mut content = Content { body, kept: 0, changed: String::new() };
        let mut at = 0;
        let mut closing = 0;
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            let character = rest.chars().next().unwrap_or(quote);
            if character == quote && (!is_long || rest.starts_with(&triple)) {
                closing = quotes;
                break;
            }
            if character == '\n' && !is_long {
                break;
            }
            let escaped = if character == '\\' { rest.chars().nth(1) } else { None };
            let name = if interpolates { interpolation(rest, self.dialect) } else { None };
            if let Some(escaped) = escaped {
                let length = 1 + escaped.len_utf8();
                if !is_raw {
                    content.replace(at, length, &unescaped(escaped));
                }
                at += length;
            } else if let Some((name, length)) = name {
                content.replace(at, length, &format!("${{{name}}}"));
                at += length;
            } else {
                at += character.len_utf8();
            }
        }
        self.push(Token::Text(content.finish(at)));
        self.take(quotes + at + closing);
    }
}

impl Lexer<'_> {
    /// Reads an HCL string in quotes, which may contain quotes within `${…}`, or a heredoc that begins
    /// with `<<NAME` and ends with a line of that name.
    fn template(&mut self, in_quotes: bool) {
        let rest = self.rest;
        if in_quotes {
            let body = rest.get(1..).unwrap_or_default();
            let length = template_len(body);
            self.push(Token::Text(Cow::Borrowed(body.get(..length).unwrap_or_default())));
            let closed = body.get(length..).is_some_and(|rest| rest.starts_with('"'));
            self.take(1 + length + usize::from(closed));
            return;
        }
        let first = rest.split('\n').next().unwrap_or_default();
        let name = first.trim_start_matches('<').trim_start_matches('-').trim();
        if name.is_empty() || !name.chars().all(is_of_word) {
            self.push(Token::Mark('<'));
            self.take(1);
            return;
        }
        let mut lines = rest.split_inclusive('\n').skip(1);
        let mut length = rest.split_inclusive('\n').next().map_or(0, str::len);
        let start = length;
        while let Some(line) = lines.next().filter(|line| line.trim() != name) {
            length += line.len();
        }
        self.push(Token::Text(Cow::Borrowed(rest.get(start..length).unwrap_or_default())));
        // The rest of the last line is the name.
        self.take(length);
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
    }
}

/// The length of an HCL string up to its closing quote, or to the end of the line.
fn template_len(body: &str) -> usize {
    let mut depth = 0_u32;
    let mut before = ' ';
    for (at, character) in body.char_indices() {
        match character {
            '\n' => return at,
            '"' if depth == 0 && before != '\\' => return at,
            '{' if depth > 0 || matches!(before, '$' | '%') => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // An escaped backslash escapes nothing.
        before = if before == '\\' && character == '\\' { ' ' } else { character };
    }
    body.len()
}

/// The contents of a string, of which parts may be replaced.
struct Content<'a> {
    body: &'a str,
    /// The offset up to which the body is in `changed`.
    kept: usize,
    changed: String,
}

impl<'a> Content<'a> {
    fn replace(&mut self, at: usize, length: usize, by: &str) {
        self.changed.push_str(self.body.get(self.kept..at).unwrap_or_default());
        self.changed.push_str(by);
        self.kept = at + length;
    }

    fn finish(mut self, end: usize) -> Cow<'a, str> {
        if self.kept == 0 {
            return Cow::Borrowed(self.body.get(..end).unwrap_or_default());
        }
        self.changed.push_str(self.body.get(self.kept..end).unwrap_or_default());
        Cow::Owned(self.changed)
    }
}

/// The name that is interpolated here, and the length of its notation.
fn interpolation(text: &str, dialect: Dialect) -> Option<(&str, usize)> {
    /// Longer texts are not names.
    const LONGEST: usize = 200;
    let (open, close) = if dialect == Dialect::Python { ("{", '}') } else { ("${", '}') };
    let near = |body: &'_ str| body.bytes().take(LONGEST).position(|byte| byte == close as u8);
    if let Some(body) = text.strip_prefix(open) {
        // In Python, `{{` is an escaped brace.
        let end = near(body).filter(|_| !body.starts_with('{'))?;
        return Some((body.get(..end)?, open.len() + end + 1));
    }
    let body = text.strip_prefix('$').filter(|_| dialect != Dialect::Python)?;
    let dots = dialect == Dialect::Groovy;
    let ends = |character: char| {
        !(is_of_word(character) && character != '$' || (dots && character == '.'))
    };
    let name = body.get(..body.find(ends).unwrap_or(body.len()))?.trim_end_matches('.');
    name.starts_with(|character: char| character.is_alphabetic() || character == '_')
        .then_some((name, 1 + name.len()))
}

fn unescaped(escaped: char) -> String {
    match escaped {
        'n' => "\n".to_owned(),
        'r' | 't' => " ".to_owned(),
        '\n' => String::new(),
        other => other.to_string(),
    }
}

/// Whether the rest of a line is empty.
fn is_line_end(rest: &str) -> bool {
    rest.strip_prefix('\r').unwrap_or(rest).starts_with('\n')
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}
