//! The tokens of a script, by their places.
//!
//! What flows in: what the lexer has found. What flows out: answers to what stands where. What
//! must stay true: a place behind the end is one where nothing stands, never a panic.

use std::borrow::Cow;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// A text in quotes.
    Text(Cow<'a, str>),
    /// Any other character.
    Mark(char),
    EndOfLine,
}

/// The tokens of a script, and the line of each.
#[derive(Debug, Default)]
pub(crate) struct Tokens<'a> {
    pub(super) tokens: Vec<(Token<'a>, u32)>,
    /// What was passed over, each with its line.
    pub(crate) warnings: Vec<(u32, &'static str)>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Token<'a>> {
        self.tokens.get(at).map(|(token, _)| token)
    }

    pub(crate) fn line(&self, at: usize) -> u32 {
        self.tokens.get(at).map_or(1, |(_, line)| *line)
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

    /// The first place from `at` on that is not the end of a line.
    pub(crate) fn skip_lines(&self, mut at: usize) -> usize {
        while self.get(at) == Some(&Token::EndOfLine) {
            at += 1;
        }
        at
    }

    /// Behind the bracket that closes the one at `at`.
    pub(crate) fn behind_bracket(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        for place in at..self.len() {
            match self.mark(place) {
                Some('(' | '[' | '{') => depth += 1,
                Some(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return place + 1;
            }
        }
        self.len()
    }
}
