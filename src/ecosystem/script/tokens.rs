//! The tokens of a script, by index.
//!
//! Input: the output of the lexer. Output: queries by index. Invariants: an index beyond the end gives no
//! token, never a panic.

use crate::ecosystem::collect::Collector;
use std::{borrow::Cow, ops::Range};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// A string.
    Text(Cow<'a, str>),
    /// Any other character.
    Mark(char),
    EndOfLine,
}

/// The tokens of a script, and the line of each.
#[derive(Debug, Default)]
pub(crate) struct Tokens<'a> {
    pub(super) all: Vec<(Token<'a>, u32)>,
    /// For an opening bracket, the index after its closing one; for a line end, the index of the next token
    /// that is none. Precomputed, because repeated searches would take quadratic time.
    jumps: Vec<u32>,
    /// Warnings about skipped text, with their lines.
    pub(super) warnings: Vec<(u32, &'static str)>,
}

impl<'a> Tokens<'a> {
    /// Adds the lexer's warnings.
    pub(crate) fn warn(&self, found: &mut Collector<'_>) {
        for (line, warning) in &self.warnings {
            found.warn(*line, warning);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Token<'a>> {
        self.all.get(at).map(|(token, _)| token)
    }

    pub(crate) fn line(&self, at: usize) -> u32 {
        self.all.get(at).map_or(1, |(_, line)| *line)
    }

    pub(crate) fn word(&self, at: usize) -> Option<&'a str> {
        match self.get(at)? {
            Token::Word(word) => Some(*word),
            _ => None,
        }
    }

    pub(crate) fn text(&self, at: usize) -> Option<&str> {
        match self.get(at)? {
            Token::Text(text) => Some(text.as_ref()),
            _ => None,
        }
    }

    pub(crate) fn mark(&self, at: usize) -> Option<char> {
        match self.get(at)? {
            Token::Mark(mark) => Some(*mark),
            _ => None,
        }
    }

    pub(crate) fn is_mark(&self, at: usize, mark: char) -> bool {
        self.mark(at) == Some(mark)
    }

    pub(crate) fn ends_line(&self, at: usize) -> bool {
        matches!(self.get(at), None | Some(Token::EndOfLine))
    }

    /// The first index from `at` on that is not a line end.
    pub(crate) fn skip_lines(&self, at: usize) -> usize {
        if self.get(at) == Some(&Token::EndOfLine) { self.jump(at) } else { at }
    }

    /// The index after the bracket that closes the one at `at`.
    pub(crate) fn behind_bracket(&self, at: usize) -> usize {
        match self.mark(at) {
            Some('(' | '[' | '{') => self.jump(at),
            _ => self.len().min(at + 1),
        }
    }

    /// The elements between the commas inside the bracket at `at`; none if there is no bracket. Nested
    /// brackets are skipped as wholes, so that all calls together are linear in the length of the script.
    pub(crate) fn elements(&self, at: usize) -> Vec<Range<usize>> {
        let mut elements = Vec::new();
        if !matches!(self.mark(at), Some('(' | '[' | '{')) {
            return elements;
        }
        let behind = self.behind_bracket(at);
        let closed = matches!(self.mark(behind - 1), Some(')' | ']' | '}')) && behind > at + 1;
        let end = if closed { behind - 1 } else { behind };
        let (mut start, mut place) = (at + 1, at + 1);
        while place < end {
            if self.is_mark(place, ',') {
                elements.push(self.skip_lines(start)..place);
                start = place + 1;
            }
            place = self.behind_bracket(place);
        }
        elements.push(self.skip_lines(start)..end);
        elements.retain(|element| element.start < element.end);
        elements
    }

    /// The first word or string in a range of tokens.
    pub(crate) fn first_literal(&self, mut places: Range<usize>) -> Option<&str> {
        places.find_map(|at| self.text(at).or_else(|| self.word(at)))
    }

    fn jump(&self, at: usize) -> usize {
        self.jumps.get(at).map_or(at + 1, |target| *target as usize)
    }

    /// Computes the jumps; called once all tokens have been read.
    pub(super) fn connect(&mut self) {
        let place = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        self.jumps = vec![place(self.len()); self.len()];
        let mut open = Vec::new();
        let mut begin_of_blank = None;
        for at in 0..self.len() {
            let token = self.get(at);
            let (opens, closes) = match token {
                Some(Token::Mark('(' | '[' | '{')) => (true, false),
                Some(Token::Mark(')' | ']' | '}')) => (false, true),
                _ => (false, false),
            };
            if token == Some(&Token::EndOfLine) {
                begin_of_blank.get_or_insert(at);
            } else if let Some(begin) = begin_of_blank.take() {
                self.jumps[begin..at].fill(place(at));
            }
            if opens {
                open.push(at);
            } else if let Some(opened) = if closes { open.pop() } else { None } {
                self.jumps[opened] = place(at + 1);
            }
        }
    }
}
