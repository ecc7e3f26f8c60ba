//! The words of a line of Ruby, as far as a Gemfile needs them.
//!
//! What flows in: a line, or several that a comma joins. What flows out: strings, symbols, keys and
//! names. What must stay true: each step moves forward; nothing is run, and a string with `#{…}`
//! in it is a string whose value nobody knows.

use std::{borrow::Cow, str::Lines};

/// A word of Ruby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecosystem) enum Word<'a> {
    String(&'a str),
    /// A string with an expression in it.
    Unknown,
    /// `:name`.
    Symbol(&'a str),
    /// `name:`, `"name":` or `:name =>`.
    Key(&'a str),
    Name(&'a str),
    Mark(char),
}

/// No line has more words; what is behind them is not read.
const MAX_WORDS: usize = 200;

/// The words of a text, without its comment.
pub(in crate::ecosystem) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next().filter(|_| words.len() < MAX_WORDS) {
        if let Some(tail) = rest.strip_prefix("=>") {
            // What stands before an arrow is a key.
            if let Some(Word::Symbol(name) | Word::String(name)) = words.last().copied() {
                words.pop();
                words.push(Word::Key(name));
            }
            rest = tail.trim_start();
            continue;
        }
        let (word, tail) = match first {
            '#' => break,
            '"' | '\'' => string(rest, first),
            '%' => percent(rest),
            ':' => symbol(rest),
            _ if is_letter(first) => name(rest),
            _ => (Word::Mark(first), rest.get(first.len_utf8()..).unwrap_or_default()),
        };
        words.push(word);
        rest = tail.trim_start();
    }
    words
}

/// A string from its opening quote on. No gem has a quote in its name, so escapes need no care.
fn string(text: &str, quote: char) -> (Word<'_>, &str) {
    let body = text.get(1..).unwrap_or_default();
    let (value, tail) = body.split_once(quote).unwrap_or((body, ""));
    // `"name": value`.
    if let Some(tail) = tail.strip_prefix(':').filter(|it| !it.starts_with(':')) {
        return (Word::Key(value), tail);
    }
    let is_known = quote == '\'' || !value.contains("#{");
    (if is_known { Word::String(value) } else { Word::Unknown }, tail)
}

/// `%q<name>` and `%Q(name)`, as gemspecs that `RubyGems` writes have them; `%w[a b]` is one string.
fn percent(text: &str) -> (Word<'_>, &str) {
    let behind = text.get(1..).unwrap_or_default();
    let body = behind.strip_prefix(['q', 'Q', 'w', 'W', 'i', 'I']).unwrap_or(behind);
    let close = match body.chars().next() {
        Some('<') => '>',
        Some('(') => ')',
        Some('[') => ']',
        Some('{') => '}',
        _ => return (Word::Mark('%'), behind),
    };
    let body = body.get(1..).unwrap_or_default();
    let (value, tail) = body.split_once(close).unwrap_or((body, ""));
    (Word::String(value), tail)
}

fn symbol(text: &str) -> (Word<'_>, &str) {
    let body = text.get(1..).unwrap_or_default();
    if let Some(quote @ ('"' | '\'')) = body.chars().next() {
        let (word, tail) = string(body, quote);
        return (if let Word::String(value) = word { Word::Symbol(value) } else { word }, tail);
    }
    let end = body.find(|it| !is_part(it)).unwrap_or(body.len());
    match body.split_at_checked(end) {
        Some((name, tail)) if !name.is_empty() => (Word::Symbol(name), tail),
        _ => (Word::Mark(':'), body),
    }
}

/// A name, or a key where one colon follows.
fn name(text: &str) -> (Word<'_>, &str) {
    let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
    let (name, tail) = text.split_at_checked(end).unwrap_or((text, ""));
    match tail.strip_prefix(':') {
        Some(behind) if !behind.starts_with(':') => (Word::Key(name), behind),
        _ => (Word::Name(name), tail),
    }
}

fn is_letter(it: char) -> bool {
    it.is_alphabetic() || it == '_'
}

fn is_part(it: char) -> bool {
    it.is_alphanumeric() || matches!(it, '_' | '?' | '!')
}

/// The lines of a program with their numbers; those that a comma or a backslash continues are one.
/// What stands between `=begin` and `=end`, and behind `__END__`, is left out.
pub(in crate::ecosystem) fn statements(text: &str) -> Statements<'_> {
    Statements { lines: text.lines(), number: 0, in_comment: false, heredoc: None, is_over: false }
}

/// The statements of a program, one at a time: there may be as many as it has lines.
#[derive(Debug)]
pub(in crate::ecosystem) struct Statements<'a> {
    lines: Lines<'a>,
    /// How many lines were taken.
    number: u32,
    in_comment: bool,
    /// The line that ends the text at hand.
    heredoc: Option<&'a str>,
    is_over: bool,
}

impl<'a> Iterator for Statements<'a> {
    type Item = (u32, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut statement: Option<(u32, Cow<'a, str>)> = None;
        while let Some(content) = self.next_line() {
            let whole = match statement.as_mut() {
                Some((_, whole)) => {
                    whole.to_mut().extend([" ", content]);
                    whole
                }
                None => &mut statement.insert((self.number, Cow::Borrowed(content))).1,
            };
            if content.ends_with('\\') {
                whole.to_mut().pop();
            }
            let continues = content.ends_with([',', '\\', '(', '[']);
            if !continues || whole.len() >= MAX_STATEMENT {
                break;
            }
        }
        statement
    }
}

impl<'a> Statements<'a> {
    /// The next line that is code, without its comment.
    fn next_line(&mut self) -> Option<&'a str> {
        while !self.is_over {
            let line = self.lines.next()?;
            self.number = self.number.saturating_add(1);
            let content = line.trim();
            if let Some(end) = self.heredoc {
                self.heredoc = Some(end).filter(|it| content != *it);
                continue;
            }
            self.is_over = content == "__END__";
            self.in_comment =
                (self.in_comment && !line.starts_with("=end")) || line.starts_with("=begin");
            let is_empty = content.is_empty() || content.starts_with('#');
            if self.is_over || self.in_comment || is_empty || line.starts_with("=end") {
                continue;
            }
            let content = without_comment(content);
            self.heredoc = heredoc_end(content);
            return Some(content);
        }
        None
    }
}

/// What ends the text that begins behind the line: `<<~TEXT`, `<<-'text'`, `<<TEXT`.
fn heredoc_end(line: &str) -> Option<&str> {
    let (_, behind) = line.split_once("<<")?;
    let indented = behind.strip_prefix(['~', '-']);
    let rest = indented.unwrap_or(behind);
    let name = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let end = name.find(|it| !is_part(it)).unwrap_or(name.len());
    let name = name.get(..end)?;
    // `list <<item` puts an item into a list.
    let is_name = |it: char| is_letter(it) && (indented.is_some() || it.is_uppercase());
    name.starts_with(is_name).then_some(name)
}

/// No call in a Gemfile is longer, in bytes.
const MAX_STATEMENT: usize = 4000;

/// A `#` behind white space begins a comment; one in a string has something else before it, or
/// an even number of quotes does not.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, it) in line.char_indices() {
        match quote {
            Some(open) if it == open => quote = None,
            None if matches!(it, '"' | '\'') => quote = Some(it),
            None if it == '#' && before.is_whitespace() => {
                return line.get(..at).unwrap_or(line).trim_end();
            }
            _ => {}
        }
        before = it;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ruby() {
        use Word::{Key, Mark, Name, String, Symbol, Unknown};
        let (comma, group) = (Mark(','), Key("group"));
        assert_eq!(
            words("gem 'a', \"~> 1\", group: [:test], :group => :dev # note"),
            [
                Name("gem"),
                String("a"),
                comma,
                String("~> 1"),
                comma,
                group,
                Mark('['),
                Symbol("test"),
                Mark(']'),
                comma,
                group,
                Symbol("dev"),
            ],
        );
        assert_eq!(words("%q<a>.freeze")[..2], [String("a"), Mark('.')]);
        assert_eq!(words("\"a#{b}\" A::B")[..2], [Unknown, Name("A")]);
        assert_eq!(words("'github': \"x/y\""), [Key("github"), String("x/y")]);
    }

    /// Breaks if what a text says is taken for code.
    #[test]
    fn a_text_over_several_lines_is_left_out() {
        let text = "a = <<~EOS\n  gem 'b'\n  EOS\nc << self\nd <<-'x'\ngem 'e'\nx\ngem 'f'\n";
        let lines: Vec<_> = statements(text).map(|it| it.0).collect();
        assert_eq!(lines, [1, 4, 5, 8]);
    }

    #[test]
    fn statements_go_on_behind_a_comma() {
        let text = "gem 'a', # why\n  # a note\n  '1'\n=begin\ngem 'b'\n=end\ngem 'c#d'\n__END__\ngem 'e'\n";
        let expected = [(1, "gem 'a', '1'".into()), (7, "gem 'c#d'".into())];
        let found: Vec<_> = statements(text).collect();
        assert_eq!(found, expected);
    }
}
