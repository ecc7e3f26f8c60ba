//! Evaluates the literals of Starlark: strings and lists of strings, by the "Starlark language" of Bazel's manual.
//!
//! Input: the tokens of a program. Output: the arguments of calls, and the values of expressions that consist of
//! literals, names of these, `+`, `%` and `format`.
//!
//! Invariants: nothing is run; a name with two values has none; the depth and the length of values are bounded,
//! and each element of a list is charged to the budget.

use crate::ecosystem::{budget::Budget, script::Tokens};
use std::collections::HashMap;

/// Depth to which names are followed.
const MAX_DEPTH: u32 = 8;

/// Longest string in bytes.
const MAX_TEXT: usize = 2000;

/// The expressions of a program.
#[derive(Debug)]
pub(super) struct Program<'t, 'a> {
    pub(super) tokens: &'t Tokens<'a>,
    budget: &'t Budget,
    /// The indices of the values of names; none for a name with several.
    names: HashMap<&'a str, Option<usize>>,
}

/// A call: `name(…)` or `of.name(…)`.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The index of its first name.
    pub(super) at: usize,
    pub(super) of: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) line: u32,
    pub(super) arguments: Arguments<'a>,
}

/// The arguments of a call.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    /// The names of named arguments, and the indices of the values.
    all: Vec<(Option<&'a str>, usize)>,
}

impl Arguments<'_> {
    /// The index of the value of a named argument.
    pub(super) fn get(&self, name: &str) -> Option<usize> {
        self.all.iter().find(|(known, _)| *known == Some(name)).map(|(_, at)| *at)
    }

    /// The index of the first argument without a name.
    pub(super) fn first(&self) -> Option<usize> {
        self.all.iter().find(|(name, _)| name.is_none()).map(|(_, at)| *at)
    }
}

impl<'t, 'a> Program<'t, 'a> {
    pub(super) fn of(tokens: &'t Tokens<'a>, budget: &'t Budget) -> Self {
        let mut names = HashMap::new();
        let mut at = 0;
        while at < tokens.len() {
            let is_assignment = tokens.is_mark(at + 1, '=') && !tokens.is_mark(at + 2, '=');
            if let Some(name) = tokens.word(at).filter(|_| is_assignment) {
                let place = tokens.skip_lines(at + 2);
                names.entry(name).and_modify(|known| *known = None).or_insert(Some(place));
            }
            // Inside brackets there are only named arguments.
            at = tokens.behind_bracket(at).max(at + 1);
        }
        Self { tokens, budget, names }
    }

    /// The name that the call whose name is at `at` is bound to: `name = call(…)`.
    pub(super) fn bound_to(&self, at: usize) -> Option<&'a str> {
        let equals = at.checked_sub(1).filter(|at| self.tokens.is_mark(*at, '='))?;
        self.tokens.word(equals.checked_sub(1)?)
    }

    /// The arguments of the call whose bracket is at `bracket`.
    pub(super) fn arguments(&self, bracket: usize) -> Arguments<'a> {
        let tokens = self.tokens;
        let elements = tokens.elements(bracket).into_iter().take_while(|_| self.budget.visit());
        let all = elements.map(|element| {
            let at = element.start;
            let is_named = tokens.is_mark(at + 1, '=') && !tokens.is_mark(at + 2, '=');
            match tokens.word(at).filter(|_| is_named) {
                Some(name) => (Some(name), tokens.skip_lines(at + 2)),
                None => (None, at),
            }
        });
        Arguments { all: all.collect() }
    }

    /// The string at an index.
    pub(super) fn text(&self, at: usize) -> Option<String> {
        self.sum(at, 0).map(|(text, _)| text)
    }

    /// Whether `True` is at an index.
    pub(super) fn is_true(&self, at: usize) -> bool {
        self.tokens.word(at) == Some("True")
    }

    /// The strings of the list at an index, or of a concatenation of lists, with their lines.
    pub(super) fn texts(&self, at: usize) -> Vec<(String, u32)> {
        let mut texts = Vec::new();
        self.append(at, 0, &mut texts);
        texts
    }

    fn append(&self, at: usize, depth: u32, into: &mut Vec<(String, u32)>) {
        let tokens = self.tokens;
        let mut at = tokens.skip_lines(at);
        while depth < MAX_DEPTH && self.budget.visit() {
            if tokens.is_mark(at, '[') {
                for element in tokens.elements(at) {
                    if !self.budget.visit() {
                        return;
                    }
                    let line = tokens.line(element.start);
                    into.extend(self.sum(element.start, 0).map(|(text, _)| (text, line)));
                }
            } else if let Some(value) = self.value_of(at) {
                self.append(value, depth + 1, into);
            }
            let end = tokens.skip_lines(tokens.behind_bracket(at));
            if !tokens.is_mark(end, '+') {
                return;
            }
            at = tokens.skip_lines(end + 1);
        }
    }

    /// The index of the value of the name at an index.
    fn value_of(&self, at: usize) -> Option<usize> {
        self.names.get(self.tokens.word(at)?).copied().flatten()
    }

    /// A string with what is added to it or formatted into it, and its end.
    fn sum(&self, at: usize, depth: u32) -> Option<(String, usize)> {
        let tokens = self.tokens;
        let (mut text, mut end) = self.atom(tokens.skip_lines(at), depth)?;
        loop {
            let next = tokens.skip_lines(end);
            if tokens.is_mark(next, '+') {
                let (more, behind) = self.atom(tokens.skip_lines(next + 1), depth)?;
                text.push_str(&more);
                end = behind;
            } else if tokens.is_mark(next, '%') {
                let operand = tokens.skip_lines(next + 1);
                let is_tuple = tokens.is_mark(operand, '(');
                let values = if is_tuple {
                    self.each(operand, depth)?
                } else {
                    vec![self.atom(operand, depth)?.0]
                };
                text = filled(&text, "%s", &values)?;
                end = if is_tuple { tokens.behind_bracket(operand) } else { operand + 1 };
            } else if tokens.is_mark(next, '.')
                && tokens.word(next + 1) == Some("format")
                && tokens.is_mark(next + 2, '(')
            {
                text = self.formatted(&text, next + 2, depth)?;
                end = tokens.behind_bracket(next + 2);
            } else {
                return Some((text, end));
            }
            if text.len() > MAX_TEXT {
                return None;
            }
        }
    }

    fn atom(&self, at: usize, depth: u32) -> Option<(String, usize)> {
        if depth >= MAX_DEPTH || !self.budget.visit() {
            return None;
        }
        match self.tokens.text(at) {
            Some(text) => (text.len() <= MAX_TEXT).then(|| (text.to_owned(), at + 1)),
            None => Some((self.sum(self.value_of(at)?, depth + 1)?.0, at + 1)),
        }
    }

    fn each(&self, bracket: usize, depth: u32) -> Option<Vec<String>> {
        let elements = self.tokens.elements(bracket);
        elements.into_iter().map(|element| Some(self.atom(element.start, depth)?.0)).collect()
    }

    /// `"{}-{0}-{name}".format(value, name = value)`
    fn formatted(&self, text: &str, bracket: usize, depth: u32) -> Option<String> {
        let arguments = self.arguments(bracket);
        let mut values = Vec::new();
        let mut out = text.to_owned();
        for (name, at) in &arguments.all {
            let value = self.atom(*at, depth)?.0;
            match name {
                Some(name) => out = out.replace(&format!("{{{name}}}"), &value),
                None => values.push(value),
            }
            if out.len() > MAX_TEXT {
                return None;
            }
        }
        if out.contains("{0}") {
            for (number, value) in values.iter().enumerate().take(10) {
                out = out.replace(&format!("{{{number}}}"), value);
                if out.len() > MAX_TEXT {
                    return None;
                }
            }
            return Some(out);
        }
        filled(&out, "{}", &values)
    }
}

/// Replaces each mark with the next value; none where a value is missing.
fn filled(text: &str, mark: &str, values: &[String]) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut values = values.iter();
    while let Some((before, behind)) = rest.split_once(mark) {
        out.push_str(before);
        out.push_str(values.next()?);
        if out.len() > MAX_TEXT {
            return None;
        }
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::{self, Dialect};

    #[track_caller]
    fn check(program: &str, expected: Option<&str>) {
        let text = format!("{program}\nx = f(y = 1)\n");
        let tokens = script::tokens(&text, Dialect::Python);
        let program = Program::of(&tokens, Budget::alone(1000));
        let value = program.names["r"].and_then(|at| program.text(at));
        assert_eq!(value.as_deref(), expected, "{text}");
    }

    #[test]
    fn strings_are_evaluated() {
        check("r = 'a' + \"b\"", Some("ab"));
        check("V = '1'\nr = 'a-' + V + '.zip'", Some("a-1.zip"));
        check("V = '1'\nr = 'a-%s.zip' % V", Some("a-1.zip"));
        check("V = '1'\nr = 'a-%s-%s' % (V, 'b')", Some("a-1-b"));
        check("V = '1'\nr = '{}-{}'.format('a', V)", Some("a-1"));
        check("V = '1'\nr = '{0}-{v}-{0}'.format('a', v = V)", Some("a-1-a"));
        check("r = '%s'.format('a') % load('b')", None);
        check("V = '1'\nV = '2'\nr = V", None);
        check("r = r", None);
    }

    #[test]
    fn lists_are_concatenated() {
        let text = "A = ['a',\n 'b' + 'c']\nr = A + [\n'd'] + other\n";
        let tokens = script::tokens(text, Dialect::Python);
        let program = Program::of(&tokens, Budget::alone(1000));
        let texts = program.texts(program.names["r"].unwrap());
        let expected = [("a".to_owned(), 1), ("bc".to_owned(), 2), ("d".to_owned(), 4)];
        assert_eq!(texts, expected);
    }
}
