//! The literal values of a Ruby program: constants, variables, and loops over literal lists.
//!
//! Input: the statements of a program, in order. Output: each statement with its names replaced by their literal
//! values; a call in a loop over a literal list once for each element. Invariants: nothing is run; a name with two
//! values, or with a value that is not literal, stays a name; the number of calls that loops give is bounded by
//! the length of the file, and the work is charged.
//!
//! The values are those of "Literals" and "Iterators" of the Ruby documentation: strings, `%w[…]`, arrays and
//! hashes of strings, and interpolation of names that have such a value.

mod rewrite;
mod value;

use super::words::{Word, words};
use crate::ecosystem::budget::Budget;
use rewrite::{LONGEST_VALUE, interpolated, rewritten, uses};
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
};
use value::{Value, rows_of, size_of};

/// Depth of blocks; deeper ones are only counted.
const MAX_BLOCKS: usize = 100;

/// A block of the program.
#[derive(Debug)]
struct Frame {
    is_brace: bool,
    parameters: Vec<String>,
    /// The values of the parameters, one row for each time; none if they are not literal.
    rows: Option<Vec<Vec<Value>>>,
}

/// The state of a program, up to a statement.
#[derive(Debug)]
pub(super) struct Program<'b> {
    /// The calls that are expanded.
    is_call: fn(&str) -> bool,
    values: HashMap<String, Rc<Value>>,
    frames: Vec<Frame>,
    /// How many of the frames have a parameter of this name.
    hidden: HashMap<String, usize>,
    too_deep: usize,
    /// How many more calls loops may give.
    left: usize,
    budget: &'b Budget,
}

/// A loop, as it begins in a statement.
struct Loop {
    frame: Frame,
    /// The index of the first word of the body.
    body: usize,
    /// The index behind the body, if it ends in the same statement.
    end: Option<usize>,
}

impl<'b> Program<'b> {
    /// `is_call` decides which names are calls to expand.
    pub(super) fn new(bytes: usize, is_call: fn(&str) -> bool, budget: &'b Budget) -> Self {
        Self {
            is_call,
            values: HashMap::new(),
            frames: Vec::new(),
            hidden: HashMap::new(),
            too_deep: 0,
            left: bytes / 2,
            budget,
        }
    }

    /// The statement with its values; several times, if it is in a loop.
    pub(super) fn expand<'s>(&mut self, statement: &'s str) -> Vec<Cow<'s, str>> {
        let unchanged = || vec![Cow::Borrowed(statement)];
        let all = words(statement);
        match all.first() {
            Some(Word::Name("end")) => {
                self.close();
                return unchanged();
            }
            Some(Word::Mark('}')) if self.frames.last().is_some_and(|frame| frame.is_brace) => {
                self.close();
                return unchanged();
            }
            _ => {}
        }
        if let Some(Loop { frame, body, end }) = self.loop_of(&all) {
            let Some(end) = end else {
                self.open(frame);
                return unchanged();
            };
            if frame.rows.is_none() {
                return unchanged();
            }
            let body = all.get(body..end).unwrap_or_default();
            self.push(frame);
            let expanded = self.calls(body);
            self.pop();
            return expanded.map_or_else(unchanged, owned);
        }
        self.assign(&all);
        let count = |mark| all.iter().filter(|word| **word == Word::Mark(mark)).count();
        let is_brace = count('{') > count('}');
        if opens_block(&all) || is_brace {
            let parameters = parameters_of(&all);
            self.open(Frame { is_brace, parameters, rows: None });
        }
        self.calls(&all).map_or_else(unchanged, owned)
    }

    fn open(&mut self, frame: Frame) {
        if self.frames.len() < MAX_BLOCKS {
            self.push(frame);
        } else {
            self.too_deep += 1;
        }
    }

    fn close(&mut self) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else {
            self.pop();
        }
    }

    fn push(&mut self, frame: Frame) {
        for parameter in &frame.parameters {
            *self.hidden.entry(parameter.clone()).or_default() += 1;
        }
        self.frames.push(frame);
    }

    fn pop(&mut self) {
        for parameter in self.frames.pop().into_iter().flat_map(|frame| frame.parameters) {
            if let Entry::Occupied(mut count) = self.hidden.entry(parameter) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }

    /// The calls in a statement, once for each element of the loops whose parameters it uses; none if it has no
    /// calls, or if nothing in it is replaced.
    fn calls(&mut self, statement: &[Word<'_>]) -> Option<Vec<String>> {
        let is_call = |word: &&Word<'_>| matches!(word, Word::Name(name) if (self.is_call)(name));
        let calls = statement.iter().filter(is_call).count();
        if calls == 0 {
            return None;
        }
        let mut rounds: Vec<HashMap<&str, &Value>> = vec![HashMap::new()];
        for Frame { parameters, rows, .. } in &self.frames {
            let searched = statement.len().max(rounds.len()) * parameters.len();
            if !self.budget.read(searched) {
                return None;
            }
            let Some(rows) = rows else {
                // Its parameters hide those of the loops around it.
                for round in &mut rounds {
                    round.retain(|name, _| !parameters.iter().any(|other| other == name));
                }
                if rounds.iter().all(HashMap::is_empty) {
                    rounds.truncate(1);
                }
                continue;
            };
            if !parameters.iter().any(|parameter| uses(statement, parameter)) {
                continue;
            }
            let count = rounds.len() * rows.len();
            if count * calls > self.left || !self.budget.read(count * parameters.len() * 16) {
                return None;
            }
            rounds = rounds
                .iter()
                .flat_map(|round| {
                    rows.iter().map(move |row| {
                        let mut round: HashMap<&str, &Value> = round.clone();
                        round.extend(parameters.iter().map(String::as_str).zip(row));
                        round
                    })
                })
                .collect();
        }
        let is_loop = rounds.len() != 1 || rounds.first().is_some_and(|round| !round.is_empty());
        let mut expanded = Vec::new();
        let mut is_changed = is_loop;
        for round in &rounds {
            let value = |name: &str| self.value(name, round);
            let (text, has_values) = rewritten(statement, &value);
            is_changed |= has_values;
            if !self.budget.read(text.len()) {
                return None;
            }
            expanded.push(text);
        }
        if is_loop {
            self.left -= rounds.len() * calls;
        }
        is_changed.then_some(expanded)
    }

    /// The value of a name, in this round of the loops around it.
    fn value<'v>(&'v self, name: &str, round: &HashMap<&str, &'v Value>) -> Option<&'v Value> {
        if let Some(value) = round.get(name) {
            return Some(*value);
        }
        let known = self.values.get(name).filter(|_| !self.hidden.contains_key(name));
        known.map(Rc::as_ref)
    }

    /// Reads `name = value`, `object.name = value` and everything that changes a name.
    fn assign(&mut self, all: &[Word<'_>]) {
        let (path, rest) = match all {
            [Word::Name(object), Word::Mark('.'), Word::Name(name), Word::Mark('='), rest @ ..] => {
                (format!("{object}.{name}"), rest)
            }
            [Word::Name(name), Word::Mark('='), rest @ ..] => ((*name).to_owned(), rest),
            // `name += value`, `name ||= value`, `name << value`, `name.push(value)`.
            [Word::Name(name), Word::Mark('+' | '|' | '<' | '-' | '&' | '*' | '['), ..]
            | [
                Word::Name(name),
                Word::Mark('.'),
                Word::Name(
                    "push" | "append" | "concat" | "prepend" | "unshift" | "delete" | "merge!"
                    | "store",
                ),
                ..,
            ] => {
                if let Some(value) = self.values.get_mut(*name) {
                    *value = Rc::new(Value::Unknown);
                }
                return;
            }
            _ => return,
        };
        // A comparison.
        if matches!(rest.first(), Some(Word::Mark('=' | '~'))) || path.len() > LONGEST_VALUE {
            return;
        }
        let value = if let [Word::Name(other)] = rest {
            let is_hidden = self.hidden.contains_key(*other);
            let known = self.values.get(*other).filter(|_| !is_hidden);
            known.cloned().unwrap_or_else(|| Rc::new(Value::Unknown))
        } else {
            let literal = self.literal(rest).filter(|(_, end)| *end == rest.len());
            Rc::new(literal.map_or(Value::Unknown, |(value, _)| value))
        };
        match self.values.entry(path) {
            Entry::Vacant(place) => {
                place.insert(value);
            }
            Entry::Occupied(mut known) => {
                let is_same = Rc::ptr_eq(known.get(), &value)
                    || (self.budget.read(size_of(&value)) && *known.get() == value);
                if !is_same {
                    known.insert(Rc::new(Value::Unknown));
                }
            }
        }
    }

    /// A literal value at the beginning of these words, and its length.
    fn literal(&self, all: &[Word<'_>]) -> Option<(Value, usize)> {
        let (value, mut end) = self.value_at(all, 0, 0)?;
        while let (Some(Word::Mark('.')), Some(Word::Name("freeze"))) =
            (all.get(end), all.get(end + 1))
        {
            end += 2;
        }
        Some((value, end))
    }

    fn value_at(&self, all: &[Word<'_>], at: usize, depth: u32) -> Option<(Value, usize)> {
        const MAX_DEPTH: u32 = 3;
        match *all.get(at)? {
            Word::String(text) | Word::Symbol(text) => Some((Value::Text(text.to_owned()), at + 1)),
            Word::Template(text) => {
                let round = HashMap::new();
                let value = |name: &str| self.value(name, &round);
                let text = interpolated(text, &value);
                Some((text.map_or(Value::Unknown, Value::Text), at + 1))
            }
            Word::List(text) => {
                let texts = text.split_whitespace().map(|text| Value::Text(text.to_owned()));
                Some((Value::List(texts.collect()), at + 1))
            }
            Word::Mark('[') if depth < MAX_DEPTH => self.elements(all, at + 1, depth + 1),
            Word::Mark('{') if depth < MAX_DEPTH => self.pairs(all, at + 1, depth + 1),
            _ => None,
        }
    }

    fn elements(&self, all: &[Word<'_>], begin: usize, depth: u32) -> Option<(Value, usize)> {
        let (mut values, mut at) = (Vec::new(), begin);
        loop {
            match all.get(at)? {
                Word::Mark(']') => return Some((Value::List(values), at + 1)),
                Word::Mark(',') => at += 1,
                _ => {
                    let (value, end) = self.value_at(all, at, depth)?;
                    values.push(value);
                    at = end;
                }
            }
        }
    }

    fn pairs(&self, all: &[Word<'_>], begin: usize, depth: u32) -> Option<(Value, usize)> {
        let (mut pairs, mut at) = (Vec::new(), begin);
        loop {
            match *all.get(at)? {
                Word::Mark('}') => return Some((Value::Pairs(pairs), at + 1)),
                Word::Mark(',') => at += 1,
                Word::Key(key) => {
                    let (value, end) = self.value_at(all, at + 1, depth)?;
                    pairs.push((key.to_owned(), value));
                    at = end;
                }
                _ => return None,
            }
        }
    }

    /// The loop that begins in a statement: `LIST.each do |name|`, `LIST.each { |name| … }`, `for name in LIST`.
    fn loop_of(&self, all: &[Word<'_>]) -> Option<Loop> {
        if let [Word::Name("for"), Word::Name(name), Word::Name("in"), rest @ ..] = all {
            let value = self.receiver(rest).map(|(value, _)| value);
            let parameters = vec![(*name).to_owned()];
            let rows = value.and_then(|value| rows_of(&value, 1));
            let frame = Frame { is_brace: false, parameters, rows };
            return Some(Loop { frame, body: all.len(), end: None });
        }
        let each = all.iter().position(|word| matches!(word, Word::Name("each" | "each_pair")))?;
        let [opening, rest @ ..] = all.get(each + 1..)? else { return None };
        let is_brace = *opening == Word::Mark('{');
        if !(is_brace || *opening == Word::Name("do")) || rest.first() != Some(&Word::Mark('|')) {
            return None;
        }
        let length = rest.iter().skip(1).position(|word| *word == Word::Mark('|'))?;
        let parameters: Vec<String> = names(rest.get(1..=length)?).map(str::to_owned).collect();
        let is_plain = rest.get(1..=length)?.iter().all(|word| *word != Word::Mark('('));
        let receiver = self.receiver(all);
        let receiver = receiver.filter(|(_, end)| *end + 1 == each && is_plain);
        let rows = receiver.and_then(|(value, _)| rows_of(&value, parameters.len()));
        let body = each + 2 + length + 2;
        let closing = if is_brace { Word::Mark('}') } else { Word::Name("end") };
        let end = all.iter().rposition(|word| *word == closing).filter(|end| *end >= body);
        Some(Loop { frame: Frame { is_brace, parameters, rows }, body, end })
    }

    /// The literal list, or the name of one, at the beginning of these words, and its length.
    fn receiver(&self, all: &[Word<'_>]) -> Option<(Value, usize)> {
        if let Some(Word::Name(name)) = all.first() {
            let value = self.value(name, &HashMap::new())?;
            // Each statement copies the list, so the copies are charged.
            return self.budget.read(size_of(value)).then(|| (value.clone(), 1));
        }
        self.literal(all)
    }
}

/// The parameters of a block or a method, which hide the names outside.
fn parameters_of(all: &[Word<'_>]) -> Vec<String> {
    let own = if let [Word::Name("def"), rest @ ..] = all {
        rest
    } else {
        let begin = all.iter().position(|word| *word == Word::Mark('|'));
        begin.and_then(|begin| all.get(begin..)).unwrap_or_default()
    };
    names(own).map(str::to_owned).collect()
}

fn owned<'s>(texts: Vec<String>) -> Vec<Cow<'s, str>> {
    texts.into_iter().map(Cow::Owned).collect()
}

fn names<'w, 'a>(all: &'w [Word<'a>]) -> impl Iterator<Item = &'a str> + use<'w, 'a> {
    all.iter().filter_map(|word| if let Word::Name(name) = word { Some(*name) } else { None })
}

/// Whether a statement opens a block that ends with `end`.
pub(super) fn opens_block(words: &[Word<'_>]) -> bool {
    const KEYWORDS: [&str; 10] =
        ["if", "unless", "case", "begin", "def", "while", "until", "for", "class", "module"];
    let is_keyword = |word: &Word<'_>| matches!(word, Word::Name(name) if KEYWORDS.contains(name));
    // `version = if …` has its own `end`.
    let assigned =
        words.windows(2).any(|pair| matches!(pair, [Word::Mark('='), word] if is_keyword(word)));
    let opens = words.first().is_some_and(is_keyword) || assigned;
    let is_do = words.contains(&Word::Name("do"));
    (opens || is_do) && !words.contains(&Word::Name("end"))
}

#[cfg(test)]
mod tests;
