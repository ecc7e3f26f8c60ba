//! The arguments of a call in Ruby, as far as they are literal.
//!
//! Input: the words of a statement, from the name of the call on. Output: the strings of its arguments, and its
//! options. Invariants: a string within another expression, such as a condition or the argument of a method,
//! is never an argument.

use super::words::Word;

/// The arguments of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call<'a> {
    /// The strings and symbols without a key, without those of computed arguments.
    pub(super) values: Vec<&'a str>,
    /// Each key with its strings; with an empty one, if it has none.
    pub(super) options: Vec<(&'a str, &'a str)>,
    /// Whether the first argument is not a literal.
    pub(super) has_computed_name: bool,
    /// Whether another argument without a key is not a literal.
    pub(super) has_computed_value: bool,
}

impl<'a> Call<'a> {
    /// The first word is the name of the call.
    pub(super) fn of(words: &[Word<'a>]) -> Self {
        let mut call = Self::default();
        for (number, argument) in arguments(words.get(1..).unwrap_or_default()).iter().enumerate() {
            if let [Word::Key(key), value @ ..] = argument {
                let texts = strings(value);
                // A computed value: its key may decide alone, as that of a path does.
                let computed = texts.is_empty().then_some("");
                call.options.extend(texts.into_iter().chain(computed).map(|text| (*key, text)));
                continue;
            }
            match literals(argument) {
                Some(texts) => call.values.extend(texts),
                None if number == 0 => call.has_computed_name = true,
                None => call.has_computed_value = true,
            }
        }
        call.has_computed_name |= call.values.is_empty();
        call
    }

    /// The first of these options with a literal value.
    pub(super) fn option(&self, keys: &[&str]) -> Option<(&'a str, &'a str)> {
        let mut literal = self.options.iter().copied().filter(|(_, value)| !value.is_empty());
        literal.find(|(key, _)| keys.contains(key))
    }

    /// Whether an option has any value, also a computed one.
    pub(super) fn has_option(&self, wanted: &str) -> bool {
        self.options.iter().any(|(key, _)| *key == wanted)
    }
}

/// The arguments after the name of a call, up to its end, a condition, a block or the next call.
fn arguments<'w, 'a>(words: &'w [Word<'a>]) -> Vec<&'w [Word<'a>]> {
    let has_parentheses = words.first() == Some(&Word::Mark('('));
    let mut start = usize::from(has_parentheses);
    let (mut end, mut depth, mut found) = (words.len(), 0_usize, Vec::new());
    for (at, word) in words.iter().enumerate().skip(start) {
        match word {
            // The braces of a hash are those of its options.
            Word::Mark('{') if depth == 0 && at == start => start += 1,
            Word::Mark(')' | '}' | '{' | ';')
            | Word::Name("if" | "unless" | "do" | "and" | "or" | "rescue")
                if depth == 0 =>
            {
                end = at;
            }
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Word::Mark(',') if depth == 0 => {
                found.push(words.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            Word::Name(name) if is_call(name) => end = at,
            _ => {}
        }
        if end < words.len() {
            break;
        }
    }
    found.push(words.get(start..end).unwrap_or_default());
    found.retain(|argument| !argument.is_empty());
    found
}

/// Whether a name is that of a call which declares a gem.
pub(super) fn is_call(name: &str) -> bool {
    matches!(
        name,
        "gem" | "add_dependency" | "add_runtime_dependency" | "add_development_dependency"
    )
}

/// The strings of an argument, if it is a literal: a string, a symbol, or a list of these.
fn literals<'a>(argument: &[Word<'a>]) -> Option<Vec<&'a str>> {
    let mut texts = Vec::new();
    for word in argument {
        match *word {
            Word::String(text) | Word::Symbol(text) | Word::List(text) => texts.push(text),
            Word::Mark('[' | ']' | '(' | ')' | ',' | '*' | '.') | Word::Name("freeze") => {}
            _ => return default_of(argument).map(|text| vec![text]),
        }
    }
    // `nil` and the like are no literals of a version.
    (!texts.is_empty() || argument == [Word::Mark('['), Word::Mark(']')]).then_some(texts)
}

/// The version without a setting from outside: `ENV["X"] || "~> 1.0"`, `ENV.fetch("X", "~> 1.0")`.
fn default_of<'a>(argument: &[Word<'a>]) -> Option<&'a str> {
    match argument {
        [Word::Name("ENV"), .., Word::Mark('|'), Word::Mark('|'), Word::String(text)] => {
            Some(*text)
        }
        [
            Word::Name("ENV"),
            Word::Mark('.'),
            Word::Name("fetch"),
            Word::Mark('('),
            Word::String(_),
            Word::Mark(','),
            Word::String(text),
            Word::Mark(')'),
        ] => Some(*text),
        _ => None,
    }
}

/// The strings of an option, without those within `ENV["X"]` or `fetch("X")`.
fn strings<'a>(value: &[Word<'a>]) -> Vec<&'a str> {
    let (mut texts, mut inside, mut before) = (Vec::new(), None, None);
    for word in value {
        let behind_name = matches!(before, Some(Word::Name(_)));
        before = Some(*word);
        match *word {
            Word::Mark(mark) if inside == Some(mark) => inside = None,
            _ if inside.is_some() => {}
            Word::Mark('[') if behind_name => inside = Some(']'),
            Word::Mark('(') if behind_name => inside = Some(')'),
            Word::String(text) | Word::Symbol(text) | Word::List(text) => texts.push(text),
            _ => {}
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::{super::words::words, *};

    /// Compares the values and options of a call, and whether its name or a value is computed.
    #[track_caller]
    fn check(text: &str, values: &[&str], options: &[(&str, &str)], computed: (bool, bool)) {
        let call = Call::of(&words(text));
        assert_eq!((call.values.as_slice(), call.options.as_slice()), (values, options), "{text}");
        assert_eq!((call.has_computed_name, call.has_computed_value), computed, "{text}");
    }

    #[test]
    fn only_literals_are_values() {
        let literal = (false, false);
        check("gem 'a', '1', '< 2'", &["a", "1", "< 2"], &[], literal);
        check("gem('a', ['>= 1', '< 2'])", &["a", ">= 1", "< 2"], &[], literal);
        check("gem 'a'.freeze, '1' if x == '2'", &["a", "1"], &[], literal);
        check(
            "gem 'a', group: %i[b c], git: 'x'",
            &["a"],
            &[("group", "b c"), ("git", "x")],
            literal,
        );
        check(
            "gem 'a', { require: false, group: :b }",
            &["a"],
            &[("require", ""), ("group", "b")],
            literal,
        );
        check("gem 'a', path: ENV['P']", &["a"], &[("path", "")], literal);
        check("gem 'a', ENV['V'] || '1'", &["a", "1"], &[], literal);
        check("group(*%w[a b]) { gem 'c' }", &["a b"], &[], literal);
        check("gem name, '1'", &["1"], &[], (true, false));
        check("gem", &[], &[], (true, false));
        check("gem 'a', version", &["a"], &[], (false, true));
        check("gem 'a', \"#{v}\"", &["a"], &[], (false, true));
        check("gem 'a', x < '3' ? '1' : '2'", &["a"], &[], (false, true));
        check("gem 'a', ENV.fetch('V', '1')", &["a", "1"], &[], literal);
        check("gem 'a', ENV.fetch('V')", &["a"], &[], (false, true));
        check("gem 'a', A::VERSION", &["a"], &[], (false, true));
    }
}
