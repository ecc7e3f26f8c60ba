//! The names that a build script gives to texts.
//!
//! What flows in: the tokens of a Groovy, Kotlin or Scala script. What flows out: what a name
//! stands for, as far as the script says it in so many words: `def x = "1"`, `val x = "1"`,
//! `ext { x = "1" }`, `ext.x = "1"`, `extra["x"] = "1"`, `val x by extra("1")`, `set("x", "1")`,
//! `versions = [x: "1"]`, `object V { val x = "1" }`, `val V = new { val x = "1" }`, and sums of these.
//!
//! What must stay true: a name that is given two texts stands for neither.

use super::{Token, Tokens};
use crate::ecosystem::expression;
use std::collections::HashMap;

/// No name and no version is longer, in bytes.
const MAX_VALUE: usize = 300;

/// Names within names are told apart up to this depth.
const MAX_DEPTH: usize = 4;

/// Where Gradle keeps names, and what it wraps around them.
const KEEPERS: [&str; 10] = [
    "project",
    "rootProject",
    "ext",
    "extra",
    "this",
    "property",
    "findProperty",
    "properties",
    "get",
    "toString",
];

/// Names, and the texts they stand for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Constants {
    /// None where a name is given several texts. A name inside an object or a map is here as
    /// `object.name`, and one inside an object on its own as well.
    values: HashMap<String, Option<String>>,
}

/// What a script says of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Said<'c> {
    Text(&'c str),
    /// Several texts, so none of them counts.
    Several,
}

impl<'c> Said<'c> {
    fn of(value: Option<&'c String>) -> Self {
        value.map_or(Self::Several, |it| Self::Text(it))
    }

    pub(crate) fn text(self) -> Option<&'c str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Several => None,
        }
    }
}

impl Constants {
    pub(crate) fn of(tokens: &Tokens<'_>) -> Self {
        let mut reader = Reader { tokens, open: Vec::new(), constants: Self::default() };
        for at in 0..tokens.len() {
            reader.look_at(at);
        }
        reader.constants
    }

    /// Replaces the names in a text. The error is the first that is unknown.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        expression::expand(text, &|name| self.get(name))
    }

    /// What a name or a path stands for.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&plain_name(name))?.as_deref()
    }

    /// What is said of a plain name.
    pub(crate) fn look_up(&self, plain_name: &str) -> Option<Said<'_>> {
        self.values.get(plain_name).map(|it| Said::of(it.as_ref()))
    }

    /// All plain names, and what is said of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Said<'_>)> {
        self.values.iter().map(|(name, value)| (name.as_str(), Said::of(value.as_ref())))
    }

    /// Gives a name a text that the script itself does not state.
    pub(crate) fn define(&mut self, name: &str, value: &str) {
        self.insert(&plain_name(name), value);
    }

    fn insert(&mut self, name: &str, value: &str) {
        if name.len() > MAX_VALUE || value.len() > MAX_VALUE {
            return;
        }
        self.values
            .entry(name.to_owned())
            .and_modify(|it| *it = it.take().filter(|it| it == value))
            .or_insert_with(|| Some(value.to_owned()));
    }
}

/// A text, a name, or a sum of these from `at` on, as a text with `${…}`; and where it ends.
pub(crate) fn value(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    let (mut sum, mut at) = operand(tokens, at)?;
    while tokens.is_mark(at, '+') && sum.len() <= MAX_VALUE {
        let (more, end) = operand(tokens, tokens.skip_lines(at + 1))?;
        sum.push_str(&more);
        at = end;
    }
    Some((sum, at))
}

fn operand(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    if let Some(text) = tokens.text(at) {
        return Some((text.to_owned(), at + 1));
    }
    let mut path = tokens.word(at)?.to_owned();
    let mut at = at + 1;
    while path.len() <= MAX_VALUE {
        if let (true, Some(word)) = (tokens.is_mark(at, '.'), tokens.word(at + 1)) {
            path.extend([".", word]);
            at += 2;
        } else if let (Some(open @ ('[' | '(')), Some(key)) = (tokens.mark(at), tokens.text(at + 1))
        {
            let close = if open == '[' { ']' } else { ')' };
            if !tokens.is_mark(at + 2, close) {
                break;
            }
            path.extend(["['", key, "']"]);
            at += 3;
        } else {
            break;
        }
    }
    Some((format!("${{{path}}}"), at))
}

/// A path without what only says where a name is kept: `project.ext.x`, `property("x")`.
pub(crate) fn plain_name(name: &str) -> String {
    let mut segments: Vec<&str> =
        name.split(['.', '[', ']', '(', ')', '"', '\'', ' ']).filter(|it| !it.is_empty()).collect();
    if segments.len() > 1 {
        segments.retain(|it| !KEEPERS.contains(it));
    }
    segments.join(".")
}

struct Reader<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The open brackets, and the name before each.
    open: Vec<(char, Option<&'a str>)>,
    constants: Constants,
}

impl<'a> Reader<'_, 'a> {
    fn look_at(&mut self, at: usize) {
        match self.tokens.get(at) {
            Some(Token::Mark(open @ ('(' | '[' | '{'))) => {
                self.open.push((*open, self.name_before(at)));
            }
            Some(Token::Mark(')' | ']' | '}')) => drop(self.open.pop()),
            Some(Token::Mark('=')) => self.assignment(at),
            Some(Token::Mark(':') | Token::Word("to")) => self.entry(at, at + 1),
            Some(Token::Word("by")) => self.delegate(at),
            Some(Token::Word("set")) => self.call(at),
            _ => {}
        }
    }

    /// The name of the object, map or call that a bracket opens: `object V {`, `x = [`,
    /// `x = mapOf(`.
    fn name_before(&self, at: usize) -> Option<&'a str> {
        let before = at.checked_sub(1)?;
        if self.tokens.is_mark(before, '=') {
            return self.tokens.word(before.checked_sub(1)?);
        }
        // A map within a map.
        if self.tokens.is_mark(before, ':') && self.open.last().is_some_and(|it| it.0 == '[') {
            return self.tokens.word(before.checked_sub(1)?);
        }
        let word = self.tokens.word(before)?;
        if let (Some(sign), true) = (before.checked_sub(1), matches!(word, "mapOf" | "Map" | "new"))
        {
            return self
                .tokens
                .is_mark(sign, '=')
                .then(|| self.tokens.word(sign.checked_sub(1)?))?;
        }
        let keyword = before.checked_sub(1).and_then(|it| self.tokens.word(it));
        (keyword == Some("object")).then_some(word)
    }

    fn insert(&mut self, name: &str, value: &str) {
        if name.len() > MAX_VALUE || value.len() > MAX_VALUE {
            return;
        }
        let mut path = name.to_owned();
        // An object in an object, a map in a map: each name around it may be left out or not.
        let named = self.open.iter().rev().map_while(|(_, outer)| *outer).take(MAX_DEPTH);
        for outer in named {
            // It gets no shorter, and the names around it may be long, and named for each entry.
            if outer.len() + path.len() >= MAX_VALUE {
                break;
            }
            path = format!("{outer}.{path}");
            self.constants.insert(&path, value);
        }
        if self.open.last().is_none_or(|(bracket, outer)| outer.is_none() || *bracket == '{') {
            self.constants.insert(name, value);
        }
    }

    /// `name = value`, `name: Type = value`, `ext.name = value`, `extra["name"] = value`.
    fn assignment(&mut self, at: usize) {
        // A named argument, a comparison, or `:=`.
        let in_call = self.open.last().is_some_and(|it| it.0 != '{');
        let Some(before) = at.checked_sub(1).filter(|_| !in_call) else { return };
        let tokens = self.tokens;
        let Some((value, end)) = value(tokens, at + 1) else { return };
        if !(tokens.ends_line(end) || matches!(tokens.mark(end), Some(';' | '}'))) {
            return;
        }
        if tokens.is_mark(before, ']') {
            let key = before.checked_sub(1).and_then(|it| tokens.text(it)).map(str::to_owned);
            if let Some(key) = key {
                self.insert(&key, &value);
            }
            return;
        }
        let typed = before.checked_sub(2).filter(|it| tokens.is_mark(it + 1, ':'));
        let Some(name) = tokens.word(typed.unwrap_or(before)) else { return };
        let path = before.checked_sub(2).filter(|it| tokens.is_mark(it + 1, '.'));
        match path.and_then(|it| tokens.word(it)) {
            Some(outer) => self.constants.insert(&plain_name(&format!("{outer}.{name}")), &value),
            None => self.insert(name, &value),
        }
    }

    /// An entry of a map that is given a name.
    fn entry(&mut self, at: usize, value_at: usize) {
        let Some((_, Some(_))) = self.open.last().filter(|it| it.0 != '{') else { return };
        let tokens = self.tokens;
        let Some(before) = at.checked_sub(1) else { return };
        let key = tokens.word(before).or_else(|| tokens.text(before)).map(str::to_owned);
        if let (Some(key), Some((value, _))) = (key, value(tokens, value_at)) {
            self.insert(&key, &value);
        }
    }

    /// `val name by extra("value")`, `val name: Type by extra("value")`.
    fn delegate(&mut self, at: usize) {
        let tokens = self.tokens;
        let Some(before) = at.checked_sub(1) else { return };
        let typed = before.checked_sub(2).filter(|it| tokens.is_mark(it + 1, ':'));
        let name = tokens.word(typed.unwrap_or(before));
        let is_extra = tokens.word(at + 1) == Some("extra") && tokens.is_mark(at + 2, '(');
        if let (Some(name), true, Some(text)) = (name, is_extra, tokens.text(at + 3)) {
            let text = text.to_owned();
            self.insert(name, &text);
        }
    }

    /// `set("name", "value")`.
    fn call(&mut self, at: usize) {
        let tokens = self.tokens;
        if tokens.is_mark(at + 1, '(') && tokens.is_mark(at + 3, ',') {
            let value = value(tokens, at + 4).map(|(value, _)| value);
            let key = tokens.text(at + 2).map(str::to_owned);
            if let (Some(key), Some(value)) = (key, value) {
                self.constants.insert(&key, &value);
            }
        }
    }
}
