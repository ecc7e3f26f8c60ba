//! Evaluates Python literals: strings, lists of strings, dictionaries of lists.
//!
//! Input: the tokens of a program. Output: the values of expressions, as far as they consist of literals,
//! concatenations, and names bound to these; and the lines of other expressions. By "Expressions" of the
//! Python Language Reference.
//!
//! Invariants: nothing is run; however names refer to each other, the work is bounded by a multiple of the
//! program's length, and the result by [`MAX_TEXT`]. A name that is bound several times has the values of all
//! its bindings, because the binding that applies depends on where the program runs.

use crate::ecosystem::script::{Token, Tokens};
use std::collections::{BTreeSet, HashMap};

/// Depth to which names and brackets are followed.
const MAX_DEPTH: u32 = 24;

/// Bytes of all texts in the results; each use of a name counts as its value. The limit is a base value plus
/// a share for each byte of the program, up to a maximum.
const TEXT_OF_ANY: usize = 1 << 20;
const TEXT_PER_BYTE: usize = 8;
const MAX_TEXT: usize = 32 << 20;
/// Overhead of a text, in bytes.
const TEXT: usize = 32;

/// An entry of a dictionary, or an argument of a call.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The index of its value.
    pub(super) value: usize,
}

/// The expressions of a program.
#[derive(Debug)]
pub(super) struct Expressions<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// The indices of the values that are bound or appended to a name.
    values: HashMap<&'a str, Vec<usize>>,
    /// Assignments to dictionary keys: `name["key"] = value`.
    items: HashMap<&'a str, Vec<(String, usize)>>,
    unknown: BTreeSet<u32>,
    /// The names that are being evaluated; a name within its own value adds nothing.
    following: Vec<&'a str>,
    depth: u32,
    steps: usize,
    /// Remaining bytes for texts.
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
            let name = at.checked_sub(2).and_then(|offset| tokens.word(offset));
            if let (true, true, Some(name)) = (adds, tokens.is_mark(at + 1, '('), name) {
                this.values.entry(name).or_default().push(at + 2);
            }
        }
        this
    }

    /// Records `name = value`, `name: type = value`, `name += value` or `name["key"] = value`.
    fn assignment(&mut self, at: usize) {
        let tokens = self.tokens;
        let is_comparison = tokens.is_mark(at + 1, '=')
            || at
                .checked_sub(1)
                .is_some_and(|offset| matches!(tokens.mark(offset), Some('=' | '!' | '<' | '>')));
        let Some(mut before) = at.checked_sub(1).filter(|_| !is_comparison) else { return };
        if tokens.is_mark(before, '+') {
            before = before.saturating_sub(1);
        }
        if tokens.is_mark(before, ']') {
            let key = before.checked_sub(1).and_then(|offset| tokens.text(offset));
            let name = before.checked_sub(3).and_then(|offset| tokens.word(offset));
            if let (Some(key), Some(name)) = (key, name) {
                self.items.entry(name).or_default().push((key.to_owned(), at + 1));
            }
            return;
        }
        let typed = before.checked_sub(2).filter(|offset| tokens.is_mark(offset + 1, ':'));
        if let Some(name) = tokens.word(typed.unwrap_or(before)) {
            self.values.entry(name).or_default().push(at + 1);
        }
    }

    /// The lines of requested expressions that are not literals.
    pub(super) fn unknown(&self) -> impl Iterator<Item = u32> {
        self.unknown.iter().copied()
    }

    /// Evaluates a string: a literal, a name of one, a concatenation. None for anything else.
    pub(super) fn text(&mut self, at: usize) -> Option<String> {
        let (text, end) = self.sum_of_texts(at)?;
        self.ends(end).then_some(text)
    }

    /// Evaluates a list, a tuple, a set, a name of one, or a concatenation, to strings with their lines.
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

    /// The end of a term that was not understood.
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

    /// Evaluates one term of a concatenation. Returns its end.
    fn term(&mut self, at: usize, into: &mut Vec<(String, u32)>) -> Option<usize> {
        let tokens = self.tokens;
        match tokens.get(at)? {
            Token::Mark('[' | '(' | '{') => {
                for element in self.elements(at) {
                    // `*others` inserts the elements of another list.
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
                    for entry in entries.iter().filter(|entry| entry.key == key) {
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

    /// The bindings of a name; empty while it is being evaluated, none for an unknown name.
    fn values_of(&mut self, name: &str) -> Option<Vec<usize>> {
        let values = self.values.get(name)?;
        self.steps = self.steps.saturating_sub(values.len());
        let is_followed = self.following.contains(&name);
        Some(if is_followed { Vec::new() } else { values.clone() })
    }

    /// Evaluates a dictionary, `dict(…)`, or a name of one, to its entries.
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

    /// The named arguments of the call whose bracket is at `at`.
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

    /// Reserves room for another text, if there is any.
    fn has_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes + TEXT);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    /// The indices of the elements between brackets.
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

    /// Concatenates adjacent literals, and strings with `+` between them.
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
            Some(Token::Text(text)) => self.interpolated(text.as_ref()).map(|text| (text, at + 1)),
            Some(Token::Word(name)) => match self.values.get(name).map(Vec::as_slice) {
                Some([value]) => {
                    let value = *value;
                    self.text(value).map(|text| (text, at + 1))
                }
                _ => None,
            },
            _ => None,
        };
        self.depth -= 1;
        result.filter(|(text, _)| self.has_room(text.len()))
    }

    /// Expands the `${name}` of a string, which the lexer writes for `{name}` in an f-string.
    fn interpolated(&mut self, text: &str) -> Option<String> {
        // Checked before copying, because copying takes time too.
        if text.len() > self.room {
            return None;
        }
        let mut parts = text.split("${");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            let value = self
                .values
                .get(name.trim())
                .filter(|values| values.len() == 1)?
                .first()
                .copied()?;
            out.push_str(&self.text(value)?);
            out.push_str(rest);
        }
        Some(out)
    }

    /// Whether an expression can end at this index.
    fn ends(&self, at: usize) -> bool {
        let tokens = self.tokens;
        tokens.ends_line(at) || matches!(tokens.mark(at), Some(',' | ')' | ']' | '}' | ':' | ';'))
    }

    /// Within brackets a line end does not end an expression. Outside, the next statement begins with a
    /// name, so a string or `+` continues the expression.
    fn skip_lines_in_brackets(&self, at: usize) -> usize {
        let next = self.tokens.skip_lines(at);
        let goes_on = self.tokens.text(next).is_some() || self.tokens.is_mark(next, '+');
        if goes_on { next } else { at }
    }

    /// Enters one level. False where the limit of depth or work is reached.
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
