//! The literal values of a Ruby program: constants, variables, and loops over literal lists.
//!
//! Input: the statements of a program, in order. Output: each statement with its names replaced by their literal
//! values; a call in a loop over a literal list once for each element. Invariants: nothing is run; a name with two
//! values, or with a value that is not literal, stays a name; the number of calls that loops give is bounded by
//! the length of the file, and the work is charged.
//!
//! The values are those of "Literals" and "Iterators" of the Ruby documentation: strings, `%w[…]`, arrays and
//! hashes of strings, and interpolation of names that have such a value.

use super::words::{Word, words};
use crate::ecosystem::budget::Budget;
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    rc::Rc,
};

/// Depth of blocks; deeper ones are only counted.
const MAX_BLOCKS: usize = 100;

/// Longest value in bytes that replaces a name. No name, version or address of a gem is longer.
const LONGEST_VALUE: usize = 300;

/// Parameters of a loop whose values are known.
const MAX_PARAMETERS: usize = 8;

/// A literal value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    List(Vec<Value>),
    /// The keys and values of a hash.
    Pairs(Vec<(String, Value)>),
    /// Anything else.
    Unknown,
}

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

/// About the size of a value in memory, in bytes. The recursion is as deep as the literal.
fn size_of(value: &Value) -> usize {
    const VALUE: usize = 32;
    VALUE
        + match value {
            Value::List(values) => values.iter().map(size_of).sum(),
            Value::Pairs(pairs) => {
                pairs.iter().map(|(key, value)| key.len() + size_of(value)).sum()
            }
            Value::Text(text) => text.len(),
            Value::Unknown => 0,
        }
}

/// The values of so many parameters, one row for each element of a list.
fn rows_of(list: &Value, parameters: usize) -> Option<Vec<Vec<Value>>> {
    if parameters > MAX_PARAMETERS {
        return None;
    }
    match (list, parameters) {
        (Value::List(values), 1) => Some(values.iter().map(|value| vec![value.clone()]).collect()),
        (Value::List(values), _) => {
            let row = |value: &Value| match value {
                Value::List(row) if row.len() == parameters => Some(row.clone()),
                _ => None,
            };
            values.iter().map(row).collect()
        }
        (Value::Pairs(pairs), 2) => {
            let row =
                |(key, value): &(String, Value)| vec![Value::Text(key.clone()), value.clone()];
            Some(pairs.iter().map(row).collect())
        }
        _ => None,
    }
}

/// Whether a statement names a parameter, also within a string.
fn uses(statement: &[Word<'_>], parameter: &str) -> bool {
    statement.iter().any(|word| match word {
        Word::Name(name) => *name == parameter,
        Word::Template(text) => text.contains(parameter),
        _ => false,
    })
}

/// The words as a text, with values in the place of names; and whether there was such a name.
fn rewritten<'v>(
    statement: &[Word<'_>],
    value: &dyn Fn(&str) -> Option<&'v Value>,
) -> (String, bool) {
    let (mut out, mut has_values, mut at) = (String::new(), false, 0);
    while let Some(word) = statement.get(at) {
        let before = at.checked_sub(1).and_then(|before| statement.get(before));
        let after = statement.get(at + 1);
        at += 1;
        out.push(' ');
        match *word {
            Word::String(text) => push_text(&mut out, text),
            // `A::B` is read as a symbol after a colon.
            Word::Symbol(text) if before == Some(&Word::Mark(':')) => {
                out.pop();
                out.extend([":", text]);
            }
            Word::Symbol(text) => {
                out.push(':');
                push_text(&mut out, text);
            }
            Word::Key(text) => {
                push_text(&mut out, text);
                out.push_str(": ");
            }
            Word::List(text) => push_list(&mut out, text),
            Word::Template(text) => match interpolated(text, value) {
                Some(text) => {
                    has_values = true;
                    push_text(&mut out, &text);
                }
                None => out.extend(["\"", text, "\""]),
            },
            Word::Name(name) => {
                let is_member = matches!(before, Some(Word::Mark('.' | ':')));
                let member = match (after, statement.get(at + 1)) {
                    (Some(Word::Mark('.')), Some(Word::Name(member))) => Some(*member),
                    _ => None,
                };
                let path = member.filter(|_| !is_member);
                let path = path.and_then(|member| value(&format!("{name}.{member}")));
                // `name.to_s` is the text of a symbol.
                let is_converted = matches!(member, Some("to_s" | "freeze" | "dup"));
                let is_alone = !matches!(after, Some(Word::Mark('(' | '.' | ':')));
                let own = if !is_member && (is_alone || is_converted) { value(name) } else { None };
                if path.is_some_and(|value| push_value(&mut out, value)) {
                    has_values = true;
                    at += 2;
                } else if own.is_some_and(|value| push_value(&mut out, value)) {
                    has_values = true;
                    at += if is_converted { 2 } else { 0 };
                } else {
                    out.push_str(name);
                }
            }
            Word::Mark(mark) => {
                // Words are separated, but the parts of `.`, `::` and of calls are not.
                out.pop();
                out.push(mark);
            }
        }
    }
    (out, has_values)
}

/// Appends a literal. False if it has no literal form.
fn push_value(out: &mut String, value: &Value) -> bool {
    match value {
        Value::Text(text) if text.len() <= LONGEST_VALUE => {
            push_text(out, text);
            true
        }
        Value::List(values) => {
            let texts: Option<Vec<&str>> = values
                .iter()
                .map(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
                .collect();
            let Some(texts) = texts else { return false };
            if texts.iter().map(|text| text.len() + 4).sum::<usize>() > LONGEST_VALUE {
                return false;
            }
            out.push('[');
            for text in texts {
                push_text(out, text);
                out.push_str(", ");
            }
            out.push(']');
            true
        }
        _ => false,
    }
}

fn push_text(out: &mut String, text: &str) {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => out.extend(["'", text, "'"]),
        (true, false) => out.extend(["\"", text, "\""]),
        // No literal, so that it is no value: names and versions contain no quotes.
        (true, true) => out.push_str("nil"),
    }
}

fn push_list(out: &mut String, text: &str) {
    let [open, close] = if text.contains(']') { ["%w(", ")"] } else { ["%w[", "]"] };
    out.extend([open, text, close]);
}

/// A text with the values of its expressions; none if one of them is not a name with a literal value.
fn interpolated<'v>(template: &str, value: &dyn Fn(&str) -> Option<&'v Value>) -> Option<String> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, behind)) = rest.split_once("#{") {
        let (name, tail) = behind.split_once('}')?;
        let Some(Value::Text(text)) = value(name.trim()) else { return None };
        out.extend([before, text.as_str()]);
        if out.len() > LONGEST_VALUE {
            return None;
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(out)
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
mod tests {
    use super::{super::words::statements, *};
    use crate::ecosystem::budget::Budget;

    /// The expanded calls of `gem` in a program, without blanks.
    fn calls(text: &str) -> Vec<String> {
        let budget = Budget::alone(text.len());
        let mut program = Program::new(text.len(), |name| name == "gem", budget);
        let expanded = statements(text).flat_map(|(_, statement)| {
            let expanded = program.expand(&statement);
            expanded.into_iter().map(Cow::into_owned).collect::<Vec<_>>()
        });
        expanded
            .filter(|statement| statement.trim_start().starts_with("gem"))
            .map(|statement| statement.replace(' ', ""))
            .collect()
    }

    #[test]
    fn names_with_one_literal_value_are_replaced() {
        let text = "A = '1.0'\nB = \"~> #{A}\".freeze\nC = B\nD = ENV['D']\nE = '1' if x\nF = '1'\nF = '2'\n\
                    G = %w[>=1 <2]\nH = '1'\nH << '2'\ns.version = '3'\n\
                    gem 'a', A\ngem 'b', B\ngem 'c', C\ngem 'd', D\ngem 'e', E\ngem 'f', F\ngem 'g', G\ngem 'h', H\n\
                    gem 'i', s.version\ngem 'j', A.to_sym\ngem 'k', x.A\ngem 'l', \"#{A}-#{D}\"\n";
        assert_eq!(
            calls(text),
            [
                "gem'a','1.0'",
                "gem'b','~>1.0'",
                "gem'c','~>1.0'",
                "gem'd',D",
                "gem'e',E",
                "gem'f',F",
                "gem'g',['>=1','<2',]",
                "gem'h',H",
                "gem'i','3'",
                "gem'j',A.to_sym",
                "gem'k',x.A",
                "gem'l',\"#{A}-#{D}\"",
            ],
        );
    }

    #[test]
    fn calls_in_literal_loops_are_repeated() {
        for (text, expected) in [
            ("%w[a b].each do |n|\n  gem n, '1'\nend\ngem n\n", "gem'a','1' gem'b','1' gemn"),
            ("['a', :b].each { |n| gem n }\n", "gem'a' gem'b'"),
            ("%i[a b].each { |n| gem n.to_s, '1' }\n", "gem'a','1' gem'b','1'"),
            ("['a'].each { |n|\n  gem n\n}\ngem n\n", "gem'a' gemn"),
            ("{ 'a' => '1', b: '2' }.each { |n, v| gem n, v }\n", "gem'a','1' gem'b','2'"),
            (
                "L = [['a', '1'],\n  ['b', '2']].freeze\nL.each do |n, v|\n gem n, v\nend\n",
                "gem'a','1' gem'b','2'",
            ),
            ("%w[\n  a\n  b\n].each do |n|\n  gem \"x-#{n}\"\nend\n", "gem'x-a' gem'x-b'"),
            ("for n in %w[a b]\n  gem n\nend\n", "gem'a' gem'b'"),
            ("%w[a b].each do |n| gem n end\n", "gem'a' gem'b'"),
            (
                "%w[a b].each do |n|\n %w[1 2].each do |v|\n  gem n, v\n end\nend\n",
                "gem'a','1' gem'a','2' gem'b','1' gem'b','2'",
            ),
            ("%w[a b].each do |n|\n  gem 'c'\nend\n", "gem'c'"),
            // What is not literal stays as it is, whatever has the same name outside.
            ("n = 'x'\nothers.each do |n|\n  gem n\nend\ngem n\n", "gemn gem'x'"),
            ("n = 'x'\ndef add(n)\n  gem n\nend\n", "gemn"),
            ("%w[a b].each do |n|\n others.each do |n|\n  gem n\n end\nend\n", "gemn"),
            ("[a, 'b'].each { |n| gem n }\n", ""),
            ("%w[a b].map { |n| gem n }\n", ""),
        ] {
            assert_eq!(calls(text).join(" "), expected, "{text}");
        }
    }

    /// Fails if nested loops multiply without a bound.
    #[test]
    fn loops_give_no_more_calls_than_the_file_is_long() {
        let list = format!("%w[{}]", "a ".repeat(50));
        let nested = format!("{list}.each do |n|\n {list}.each do |v|\n  gem n, v\n end\nend\n");
        assert_eq!(calls(&nested), ["gemn,v"]);
        let many = format!("{list}.each do |n|\n{}end\n", "  gem n\n".repeat(100));
        assert!(calls(&many).len() <= many.len() / 2 + 100);
    }
}
