//! The tokens of a script.
//!
//! What flows in: text, and which language it is in. What flows out: words, texts, marks and the
//! ends of lines, each with its line. By the lexical sections of the specifications of the
//! languages, as far as manifests need them.
//!
//! What must stay true: time is linear, and the number of tokens bounded. What is put into a
//! text by interpolation is kept as `${…}` where manifests use that, for
//! [`expression`](crate::ecosystem::expression) to replace. A text that nothing closes ends with
//! its line, unless it is one of several lines.

use super::{Dialect, Token, Tokens};
use std::borrow::Cow;

/// No script has more tokens; it bounds the memory.
const MAX_TOKENS: usize = 1_000_000;

/// A file of nothing but merge markers gives no more warnings.
const MAX_WARNINGS: usize = 20;
const MERGE_MARKERS: [&str; 3] = ["<<<<<<<", "=======", ">>>>>>>"];

/// The tokens of a text.
pub(crate) fn tokens(text: &str, dialect: Dialect) -> Tokens<'_> {
    let mut lexer = Lexer { rest: text, line: 1, dialect, tokens: Tokens::default() };
    while !lexer.rest.is_empty() {
        if lexer.tokens.len() >= MAX_TOKENS {
            lexer.tokens.warnings.push((lexer.line, "the script is too long: its end is not read"));
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
        let newlines = taken.bytes().filter(|it| *it == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        taken
    }

    fn push(&mut self, token: Token<'a>) {
        self.tokens.all.push((token, self.line));
    }

    fn next(&mut self) {
        let Some(first) = self.rest.chars().next() else { return };
        if self.begins_line() && MERGE_MARKERS.iter().any(|it| self.rest.starts_with(it)) {
            if self.tokens.warnings.len() < MAX_WARNINGS {
                self.tokens.warnings.push((self.line, "the marker of an unfinished merge"));
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
            self.take(self.rest.find('\n').map_or(1, |it| it + 1));
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
            let ends = |it: char| !(is_of_word(it) || dashes && it == '-');
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

    /// The length of the comment at this place.
    fn comment(&self) -> Option<usize> {
        let rest = self.rest;
        let block = self.dialect.block_comment();
        if let Some((open, close)) = block.filter(|(open, _)| rest.starts_with(open)) {
            let end = rest.get(open.len()..)?.find(close);
            return Some(end.map_or(rest.len(), |it| open.len() + it + close.len()));
        }
        let begins = self.dialect.line_comments().iter().any(|it| rest.starts_with(it));
        begins.then(|| rest.find('\n').unwrap_or(rest.len()))
    }

    /// A name in backquotes.
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
            // A character, where quotes do not belong to texts.
            ('\'', Dialect::Kotlin | Dialect::Scala) => {
                let mut rest = self.rest.chars().skip(1);
                let escaped = rest.next() == Some('\\');
                rest.nth(usize::from(escaped)) == Some('\'')
            }
            // A pattern, where no division can stand.
            ('/', Dialect::Groovy) => {
                let before = self.tokens.all.last().map(|(token, _)| token);
                let near = self.rest.bytes().skip(1).take(200);
                let is_closed = near.take_while(|it| *it != b'\n').any(|it| it == b'/');
                is_closed && matches!(before, Some(Token::Mark('(' | ',' | '=' | '~')))
            }
            _ => false,
        }
    }

    /// Whether a word right before a quote says how to read the text.
    fn is_prefix(&self, word: &str) -> bool {
        self.rest.starts_with(['"', '\''])
            && if self.dialect == Dialect::Scala {
                self.rest.starts_with('"') && matches!(word, "s" | "f" | "raw")
            } else {
                let known = |it: u8| b"rbuf".contains(&it.to_ascii_lowercase());
                self.dialect == Dialect::Python && word.len() <= 2 && word.bytes().all(known)
            }
    }

    /// The text that begins with the quote at this place.
    fn text(&mut self, prefix: &str) {
        let quote = self.rest.chars().next().unwrap_or('"');
        let is_double = quote == '"';
        let triple = [quote; 3].iter().collect::<String>();
        let is_long = quote != '/'
            && self.rest.starts_with(&triple)
            && (is_double || matches!(self.dialect, Dialect::Groovy | Dialect::Python));
        let quotes = if is_long { 3 } else { 1 };
        let has = |it: char| prefix.to_ascii_lowercase().contains(it);
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
        while let Some(rest) = body.get(at..).filter(|it| !it.is_empty()) {
            let it = rest.chars().next().unwrap_or(quote);
            if it == quote && (!is_long || rest.starts_with(&triple)) {
                closing = quotes;
                break;
            }
            if it == '\n' && !is_long {
                break;
            }
            let escaped = if it == '\\' { rest.chars().nth(1) } else { None };
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
                at += it.len_utf8();
            }
        }
        self.push(Token::Text(content.finish(at)));
        self.take(quotes + at + closing);
    }
}

impl Lexer<'_> {
    /// A text of HCL in quotes, in whose `${…}` quotes may stand too, or one that begins with
    /// `<<NAME` and ends with a line of that name.
    fn template(&mut self, in_quotes: bool) {
        let rest = self.rest;
        if in_quotes {
            let body = rest.get(1..).unwrap_or_default();
            let length = template_len(body);
            self.push(Token::Text(Cow::Borrowed(body.get(..length).unwrap_or_default())));
            let closed = body.get(length..).is_some_and(|it| it.starts_with('"'));
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
        while let Some(line) = lines.next().filter(|it| it.trim() != name) {
            length += line.len();
        }
        self.push(Token::Text(Cow::Borrowed(rest.get(start..length).unwrap_or_default())));
        // What is left of the last line is the name.
        self.take(length);
        self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
    }
}

/// The length of a text of HCL up to the quote that ends it, or the end of its line.
fn template_len(body: &str) -> usize {
    let mut depth = 0_u32;
    let mut before = ' ';
    for (at, it) in body.char_indices() {
        match it {
            '\n' => return at,
            '"' if depth == 0 && before != '\\' => return at,
            '{' if depth > 0 || matches!(before, '$' | '%') => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // A backslash that is escaped itself escapes nothing.
        before = if before == '\\' && it == '\\' { ' ' } else { it };
    }
    body.len()
}

/// The inside of a text, of which parts may be replaced.
struct Content<'a> {
    body: &'a str,
    /// Up to where it is in `changed`.
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

/// The name that is put into a text at this place, and the length of its notation.
fn interpolation(text: &str, dialect: Dialect) -> Option<(&str, usize)> {
    /// What is longer is no name.
    const LONGEST: usize = 200;
    let (open, close) = if dialect == Dialect::Python { ("{", '}') } else { ("${", '}') };
    let near = |body: &'_ str| body.bytes().take(LONGEST).position(|it| it == close as u8);
    if let Some(body) = text.strip_prefix(open) {
        // `{{` stands for itself in Python.
        let end = near(body).filter(|_| !body.starts_with('{'))?;
        return Some((body.get(..end)?, open.len() + end + 1));
    }
    let body = text.strip_prefix('$').filter(|_| dialect != Dialect::Python)?;
    let dots = dialect == Dialect::Groovy;
    let ends = |it: char| !(is_of_word(it) && it != '$' || (dots && it == '.'));
    let name = body.get(..body.find(ends).unwrap_or(body.len()))?.trim_end_matches('.');
    name.starts_with(|it: char| it.is_alphabetic() || it == '_').then_some((name, 1 + name.len()))
}

fn unescaped(escaped: char) -> String {
    match escaped {
        'n' => "\n".to_owned(),
        'r' | 't' => " ".to_owned(),
        '\n' => String::new(),
        other => other.to_string(),
    }
}

/// Whether nothing stands on the rest of a line.
fn is_line_end(rest: &str) -> bool {
    rest.strip_prefix('\r').unwrap_or(rest).starts_with('\n')
}

fn is_of_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_' || it == '$'
}
