//! Python's literals: texts, lists of texts, dictionaries of lists.
//!
//! What flows in: the tokens of a program. What flows out: what an expression comes to, as far as
//! it consists of literals, of sums of them, and of names that are bound to them; and the lines of
//! what does not. By "Expressions" of the Python Language Reference.
//!
//! What must stay true: nothing is run; however names refer to each other, the work is bounded by
//! a multiple of the program's length, and what it comes to by [`MAX_TEXT`]. A name that is bound several times stands for all of its
//! lists: which of them holds depends on where the program runs.

use crate::ecosystem::script::{Token, Tokens};
use std::collections::{BTreeSet, HashMap};

/// How deep names and brackets are followed.
const MAX_DEPTH: u32 = 24;

/// What all texts that expressions come to may take, in bytes; a name costs as much as what it
/// stands for each time that it is written. A program may have so much, and so much for each of its
/// bytes, up to a bound.
const TEXT_OF_ANY: usize = 1 << 20;
const TEXT_PER_BYTE: usize = 8;
const MAX_TEXT: usize = 32 << 20;
/// What a text takes beside its own bytes.
const TEXT: usize = 32;

/// An entry of a dictionary, or an argument of a call.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where its value begins.
    pub(super) value: usize,
}

/// The expressions of a program.
#[derive(Debug)]
pub(super) struct Expressions<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// Where the values begin that a name is bound to, or that are added to it.
    values: HashMap<&'a str, Vec<usize>>,
    /// What is set in a dictionary: `name["key"] = value`.
    items: HashMap<&'a str, Vec<(String, usize)>>,
    unknown: BTreeSet<u32>,
    /// The names that are being followed: one that comes up in its own value adds nothing.
    following: Vec<&'a str>,
    depth: u32,
    steps: usize,
    /// Bytes of texts that may yet come.
    room: usize,
}

impl<'t, 'a> Expressions<'t, 'a> {
    /// `bytes` is the length of the program.
    pub(super) fn of(tokens: &'t Tokens<'a>, bytes: usize) -> Self {
        let steps = 10_000 + 16 * tokens.len();
        let (values, items) = (HashMap::new(), HashMap::new());
        let mut this = Self {
            tokens,
            values,
            items,
            unknown: BTreeSet::new(),
            following: Vec::new(),
            depth: 0,
            steps,
            room: MAX_TEXT.min(TEXT_OF_ANY + TEXT_PER_BYTE * bytes),
        };
        let mut open = 0_usize;
        for at in 0..tokens.len() {
            match tokens.mark(at) {
                Some('(' | '[' | '{') => open += 1,
                Some(')' | ']' | '}') => open = open.saturating_sub(1),
                Some('=') if open == 0 => this.assignment(at),
                _ => {}
            }
            // `name.append(value)`, `name.extend(value)`.
            let adds = matches!(tokens.word(at), Some("append" | "extend"));
            let name = at.checked_sub(2).and_then(|it| tokens.word(it));
            if let (true, true, Some(name)) = (adds, tokens.is_mark(at + 1, '('), name) {
                this.values.entry(name).or_default().push(at + 2);
            }
        }
        this
    }

    /// `name = value`, `name: type = value`, `name += value`, `name["key"] = value`.
    fn assignment(&mut self, at: usize) {
        let tokens = self.tokens;
        let is_comparison = tokens.is_mark(at + 1, '=')
            || at
                .checked_sub(1)
                .is_some_and(|it| matches!(tokens.mark(it), Some('=' | '!' | '<' | '>')));
        let Some(mut before) = at.checked_sub(1).filter(|_| !is_comparison) else { return };
        if tokens.is_mark(before, '+') {
            before = before.saturating_sub(1);
        }
        if tokens.is_mark(before, ']') {
            let key = before.checked_sub(1).and_then(|it| tokens.text(it));
            let name = before.checked_sub(3).and_then(|it| tokens.word(it));
            if let (Some(key), Some(name)) = (key, name) {
                self.items.entry(name).or_default().push((key.to_owned(), at + 1));
            }
            return;
        }
        let typed = before.checked_sub(2).filter(|it| tokens.is_mark(it + 1, ':'));
        if let Some(name) = tokens.word(typed.unwrap_or(before)) {
            self.values.entry(name).or_default().push(at + 1);
        }
    }

    /// The lines of what was asked for and is no literal.
    pub(super) fn unknown(&self) -> impl Iterator<Item = u32> {
        self.unknown.iter().copied()
    }

    /// A text: a literal, a name of one, a sum. None for anything else.
    pub(super) fn text(&mut self, at: usize) -> Option<String> {
        let (text, end) = self.sum_of_texts(at)?;
        self.ends(end).then_some(text)
    }

    /// The texts of a list, a tuple, a set, a name of one, a sum of these, each with its line.
    pub(super) fn texts(&mut self, at: usize, into: &mut Vec<(String, u32)>) {
        let at = self.tokens.skip_lines(at);
        if !self.enter() {
            return self.refuse(at);
        }
        let mut at = at;
        loop {
            let end = self.term(at, into).unwrap_or_else(|| {
                self.refuse(at);
                self.behind_term(at)
            });
            let end = self.skip_lines_in_brackets(end);
            if self.tokens.is_mark(end, '+') && !self.tokens.is_mark(end + 1, '=') {
                at = self.tokens.skip_lines(end + 1);
            } else {
                if !self.ends(end) {
                    self.refuse(end);
                }
                break;
            }
        }
        self.depth -= 1;
    }

    /// Where a term ends that was not understood.
    fn behind_term(&mut self, from: usize) -> usize {
        let mut at = from;
        while !self.ends(at) && !self.tokens.is_mark(at, '+') && self.steps > 0 {
            let is_open = matches!(self.tokens.mark(at), Some('(' | '[' | '{'));
            let next = if is_open { self.tokens.behind_bracket(at) } else { at + 1 };
            self.steps = self.steps.saturating_sub(next - at);
            at = next;
        }
        at
    }

    /// One term of a sum; gives where it ends.
    fn term(&mut self, at: usize, into: &mut Vec<(String, u32)>) -> Option<usize> {
        let tokens = self.tokens;
        match tokens.get(at)? {
            Token::Mark('[' | '(' | '{') => {
                for element in self.elements(at) {
                    // `*others` puts the elements of another list in its place.
                    if tokens.is_mark(element, '*')
                        || matches!(tokens.mark(element), Some('[' | '('))
                    {
                        self.texts(element + usize::from(tokens.is_mark(element, '*')), into);
                    } else if let Some(text) = self.text(element) {
                        into.push((text, tokens.line(element)));
                    } else {
                        self.refuse(element);
                    }
                }
                Some(tokens.behind_bracket(at))
            }
            Token::Text(_) => {
                let (text, end) = self.sum_of_texts(at)?;
                into.push((text, tokens.line(at)));
                Some(end)
            }
            Token::Word("list" | "sorted" | "set" | "tuple") if tokens.is_mark(at + 1, '(') => {
                self.texts(at + 2, into);
                Some(tokens.behind_bracket(at + 1))
            }
            Token::Word(name) => {
                let key = tokens.text(at + 2).filter(|_| tokens.is_mark(at + 1, '['));
                if let Some(key) = key {
                    let mut entries = Vec::new();
                    self.entries(at, &mut entries);
                    for entry in entries.iter().filter(|it| it.key == key) {
                        self.texts(entry.value, into);
                    }
                    return (!entries.is_empty()).then_some(at + 4);
                }
                let values = self.values_of(name)?;
                self.following.push(name);
                for value in values {
                    self.texts(value, into);
                }
                self.following.pop();
                Some(at + 1)
            }
            _ => None,
        }
    }

    /// What a name is bound to; nothing while it is being followed, none for an unknown one.
    fn values_of(&mut self, name: &str) -> Option<Vec<usize>> {
        let values = self.values.get(name)?;
        self.steps = self.steps.saturating_sub(values.len());
        let is_followed = self.following.contains(&name);
        Some(if is_followed { Vec::new() } else { values.clone() })
    }

    /// The entries of a dictionary, of `dict(…)`, or of a name of one.
    pub(super) fn entries(&mut self, at: usize, into: &mut Vec<Entry>) {
        let tokens = self.tokens;
        let at = tokens.skip_lines(at);
        if !self.enter() {
            return self.refuse(at);
        }
        match tokens.get(at) {
            Some(Token::Mark('{')) => {
                for element in self.elements(at) {
                    let colon = tokens.skip_lines(element + 1);
                    if tokens.is_mark(element, '*') && tokens.is_mark(element + 1, '*') {
                        self.entries(element + 2, into);
                    } else if let (Some(key), true) =
                        (tokens.text(element), tokens.is_mark(colon, ':'))
                    {
                        self.entry(key, colon + 1, into);
                    } else {
                        self.refuse(element);
                    }
                }
            }
            Some(Token::Word("dict")) if tokens.is_mark(at + 1, '(') => {
                self.entries_of_call(at + 1, into);
            }
            Some(Token::Word(name)) if self.values.contains_key(name) => {
                let values = self.values_of(name).unwrap_or_default();
                self.following.push(name);
                for value in values {
                    self.entries(value, into);
                }
                self.following.pop();
                if let Some(items) = self.items.remove(name) {
                    for (key, value) in &items {
                        self.steps = self.steps.saturating_sub(1);
                        self.entry(key, *value, into);
                    }
                    self.items.insert(name, items);
                }
            }
            _ => self.refuse(at),
        }
        self.depth -= 1;
    }

    /// The named arguments of a call, whose bracket is at `at`.
    pub(super) fn entries_of_call(&mut self, at: usize, into: &mut Vec<Entry>) {
        let tokens = self.tokens;
        for element in self.elements(at) {
            if tokens.is_mark(element, '*') && tokens.is_mark(element + 1, '*') {
                self.entries(element + 2, into);
            } else if let (Some(key), true) =
                (tokens.word(element), tokens.is_mark(element + 1, '='))
            {
                self.entry(key, element + 2, into);
            }
        }
    }

    fn entry(&mut self, key: &str, value: usize, into: &mut Vec<Entry>) {
        if self.has_room(key.len()) {
            into.push(Entry { key: key.to_owned(), value });
        } else {
            self.refuse(value);
        }
    }

    /// Whether there is room for another text, which it takes then.
    fn has_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes + TEXT);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    /// Where the elements between brackets begin.
    fn elements(&mut self, bracket: usize) -> Vec<usize> {
        let tokens = self.tokens;
        let mut elements = Vec::new();
        let mut at = tokens.skip_lines(bracket + 1);
        let mut begins = true;
        while at < tokens.len() && self.steps > 0 {
            let mark = tokens.mark(at);
            if matches!(mark, Some(')' | ']' | '}')) {
                break;
            }
            if begins && mark != Some(',') {
                elements.push(at);
            }
            begins = mark == Some(',') || (begins && tokens.ends_line(at));
            let is_open = matches!(mark, Some('(' | '[' | '{'));
            let next = if is_open { tokens.behind_bracket(at) } else { at + 1 };
            self.steps = self.steps.saturating_sub(next - at);
            at = if begins { tokens.skip_lines(next) } else { next };
        }
        elements
    }

    /// Literals one after the other or with `+` between them, names of texts among them.
    fn sum_of_texts(&mut self, at: usize) -> Option<(String, usize)> {
        let tokens = self.tokens;
        let (mut sum, mut at) = self.one_text(tokens.skip_lines(at))?;
        loop {
            let next = self.skip_lines_in_brackets(at);
            let plus = tokens.is_mark(next, '+');
            let operand = if plus { tokens.skip_lines(next + 1) } else { next };
            if !plus && tokens.text(operand).is_none() {
                return Some((sum, at));
            }
            let Some((more, end)) = self.one_text(operand) else { return Some((sum, at)) };
            sum.push_str(&more);
            at = end;
        }
    }

    fn one_text(&mut self, at: usize) -> Option<(String, usize)> {
        if !self.enter() {
            return None;
        }
        let result = match self.tokens.get(at) {
            Some(Token::Text(text)) => self.interpolated(text.as_ref()).map(|it| (it, at + 1)),
            Some(Token::Word(name)) => match self.values.get(name).map(Vec::as_slice) {
                Some([value]) => {
                    let value = *value;
                    self.text(value).map(|it| (it, at + 1))
                }
                _ => None,
            },
            _ => None,
        };
        self.depth -= 1;
        result.filter(|(text, _)| self.has_room(text.len()))
    }

    /// A text whose `${name}` are replaced, which stand for `{name}` in an f-string.
    fn interpolated(&mut self, text: &str) -> Option<String> {
        // Asked before it is copied, for that takes time too.
        if text.len() > self.room {
            return None;
        }
        let mut parts = text.split("${");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            let value =
                self.values.get(name.trim()).filter(|it| it.len() == 1)?.first().copied()?;
            out.push_str(&self.text(value)?);
            out.push_str(rest);
        }
        Some(out)
    }

    /// Whether an expression can end at a place.
    fn ends(&self, at: usize) -> bool {
        let tokens = self.tokens;
        tokens.ends_line(at) || matches!(tokens.mark(at), Some(',' | ')' | ']' | '}' | ':' | ';'))
    }

    /// Inside brackets a line does not end an expression; outside, what follows it is on a line
    /// of its own and begins with a name.
    fn skip_lines_in_brackets(&self, at: usize) -> usize {
        let next = self.tokens.skip_lines(at);
        let goes_on = self.tokens.text(next).is_some() || self.tokens.is_mark(next, '+');
        if goes_on { next } else { at }
    }

    /// One step deeper; false where it is too deep or too much.
    fn enter(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        if self.depth >= MAX_DEPTH || self.steps == 0 {
            return false;
        }
        self.depth += 1;
        true
    }

    fn refuse(&mut self, at: usize) {
        self.unknown.insert(self.tokens.line(at));
    }
}
