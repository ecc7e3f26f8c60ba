//! Splits lines of Ruby into words, as far as Gemfiles need it.
//!
//! Input: a line, or several that a comma joins. Output: strings, symbols, keys and names. Invariants: each
//! step moves forward; nothing is run, so the value of a string with `#{…}` in it is unknown.

use std::{borrow::Cow, str::Lines};

/// A word of Ruby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecosystem) enum Word<'a> {
    String(&'a str),
    /// A string with an interpolated expression.
    Template(&'a str),
    /// The text of `%w[…]` or `%i[…]`.
    List(&'a str),
    /// `:name`.
    Symbol(&'a str),
    /// `name:`, `"name":` or `:name =>`.
    Key(&'a str),
    Name(&'a str),
    Mark(char),
}

/// Words that are read of one statement; no real statement has more.
const MAX_WORDS: usize = 2000;

/// The words of a line, without its comment.
pub(in crate::ecosystem) fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next().filter(|_| words.len() < MAX_WORDS) {
        if let Some(tail) = rest.strip_prefix("=>") {
            // The word before an arrow is a key.
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

/// Reads a string from its opening quote. Gem names contain no quotes, so escapes are ignored.
fn string(text: &str, quote: char) -> (Word<'_>, &str) {
    let body = text.get(1..).unwrap_or_default();
    let (value, tail) = body.split_once(quote).unwrap_or((body, ""));
    // `"name": value`.
    if let Some(tail) = tail.strip_prefix(':').filter(|tail| !tail.starts_with(':')) {
        return (Word::Key(value), tail);
    }
    let is_known = quote == '\'' || !value.contains("#{");
    (if is_known { Word::String(value) } else { Word::Template(value) }, tail)
}

/// Reads `%q<name>` and `%Q(name)`, which `RubyGems` writes, and the lists `%w[a b]` and `%i[a b]`.
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
    let is_list = behind.starts_with(['w', 'W', 'i', 'I']);
    let body = body.get(1..).unwrap_or_default();
    let (value, tail) = body.split_once(close).unwrap_or((body, ""));
    let word = match (is_list, value.contains("#{") && !behind.starts_with(['q', 'w', 'i'])) {
        (true, false) => Word::List(value),
        (false, false) => Word::String(value),
        (_, true) => Word::Template(value),
    };
    (word, tail)
}

fn symbol(text: &str) -> (Word<'_>, &str) {
    let body = text.get(1..).unwrap_or_default();
    if let Some(quote @ ('"' | '\'')) = body.chars().next() {
        let (word, tail) = string(body, quote);
        return (if let Word::String(value) = word { Word::Symbol(value) } else { word }, tail);
    }
    let end = body.find(|character| !is_part(character)).unwrap_or(body.len());
    match body.split_at_checked(end) {
        Some((name, tail)) if !name.is_empty() => (Word::Symbol(name), tail),
        _ => (Word::Mark(':'), body),
    }
}

/// Reads a name, or a key if a single colon follows.
fn name(text: &str) -> (Word<'_>, &str) {
    let end = text.find(|character| !is_part(character)).unwrap_or(text.len());
    let (name, tail) = text.split_at_checked(end).unwrap_or((text, ""));
    match tail.strip_prefix(':') {
        Some(behind) if !behind.starts_with(':') => (Word::Key(name), behind),
        _ => (Word::Name(name), tail),
    }
}

fn is_letter(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '?' | '!')
}

/// The statements of a program with their line numbers. A comma or a backslash continues a line. Comments
/// between `=begin` and `=end`, and everything after `__END__`, are skipped.
pub(in crate::ecosystem) fn statements(text: &str) -> Statements<'_> {
    Statements { lines: text.lines(), number: 0, in_comment: false, heredoc: None, is_over: false }
}

/// Iterates over the statements of a program without collecting them.
#[derive(Debug)]
pub(in crate::ecosystem) struct Statements<'a> {
    lines: Lines<'a>,
    /// The number of lines that were read.
    number: u32,
    in_comment: bool,
    /// The delimiter of the current here-document.
    heredoc: Option<&'a str>,
    is_over: bool,
}

impl<'a> Iterator for Statements<'a> {
    type Item = (u32, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut statement: Option<(u32, Cow<'a, str>)> = None;
        let mut literal: Option<Literal> = None;
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
            // The elements of a literal may be on lines of their own.
            literal = literal.or_else(|| Literal::of(content));
            let is_open = literal.as_mut().is_some_and(|literal| literal.is_open(content));
            if !(continues || is_open) || whole.len() >= MAX_STATEMENT {
                break;
            }
        }
        statement
    }
}

impl<'a> Statements<'a> {
    /// The next line of code, without its comment.
    fn next_line(&mut self) -> Option<&'a str> {
        while !self.is_over {
            let line = self.lines.next()?;
            self.number = self.number.saturating_add(1);
            let content = line.trim();
            if let Some(end) = self.heredoc {
                self.heredoc = Some(end).filter(|end| content != *end);
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

/// A list or a hash that begins a statement, or that a statement assigns to a name.
struct Literal {
    brackets: [char; 2],
    open: i32,
}

impl Literal {
    fn of(line: &str) -> Option<Self> {
        let assigned = line.split_once(" = ").map_or(line, |(_, value)| value.trim_start());
        let value = assigned.trim_start_matches(['%', 'w', 'i', 'W', 'I']);
        let brackets = match value.chars().next()? {
            '[' => ['[', ']'],
            '{' => ['{', '}'],
            '(' if value.len() < assigned.len() => ['(', ')'],
            _ => return None,
        };
        Some(Self { brackets, open: 0 })
    }

    /// Whether the literal continues after this line.
    fn is_open(&mut self, line: &str) -> bool {
        let [open, close] = self.brackets;
        for character in line.chars() {
            self.open += i32::from(character == open) - i32::from(character == close);
            // What follows the literal does not count.
            if self.open == 0 && character == close {
                self.brackets = ['\0', '\0'];
                return false;
            }
        }
        self.open > 0
    }
}

/// The delimiter of the here-document that begins in a line: `<<~TEXT`, `<<-'text'`, `<<TEXT`.
fn heredoc_end(line: &str) -> Option<&str> {
    let (_, behind) = line.split_once("<<")?;
    let indented = behind.strip_prefix(['~', '-']);
    let rest = indented.unwrap_or(behind);
    let name = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let end = name.find(|character| !is_part(character)).unwrap_or(name.len());
    let name = name.get(..end)?;
    // `list <<item` appends an item to a list.
    let is_name =
        |character: char| is_letter(character) && (indented.is_some() || character.is_uppercase());
    name.starts_with(is_name).then_some(name)
}

/// Longest statement in bytes.
const MAX_STATEMENT: usize = 4000;

/// Removes a comment: a `#` after white space, outside of strings.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if character == '#' && before.is_whitespace() => {
                return line.get(..at).unwrap_or(line).trim_end();
            }
            _ => {}
        }
        before = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ruby() {
        use Word::{Key, List, Mark, Name, String, Symbol, Template};
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
        assert_eq!(words("\"a#{b}\" A::B")[..2], [Template("a#{b}"), Name("A")]);
        assert_eq!(words("%i[a b] %w(c)"), [List("a b"), List("c")]);
        assert_eq!(words("'github': \"x/y\""), [Key("github"), String("x/y")]);
    }

    /// Fails if the text of a here-document is read as code.
    #[test]
    fn here_documents_are_skipped() {
        let text = "a = <<~EOS\n  gem 'b'\n  EOS\nc << self\nd <<-'x'\ngem 'e'\nx\ngem 'f'\n";
        let lines: Vec<_> = statements(text).map(|statement| statement.0).collect();
        assert_eq!(lines, [1, 4, 5, 8]);
    }

    #[test]
    fn statements_continue_after_a_comma() {
        let text = "gem 'a', # why\n  # a note\n  '1'\n=begin\ngem 'b'\n=end\ngem 'c#d'\n__END__\ngem 'e'\n";
        let expected = [(1, "gem 'a', '1'".into()), (7, "gem 'c#d'".into())];
        let found: Vec<_> = statements(text).collect();
        assert_eq!(found, expected);
        let text = "A = [\n  'b',\n  'c'\n].freeze\n%w[\n  d\n  e\n].each do |n|\n  gem n\nend\n\
                    x = { |y|\nz = a[\n1]\n";
        let expected = [
            (1, "A = [ 'b', 'c' ].freeze".into()),
            (5, "%w[ d e ].each do |n|".into()),
            (9, "gem n".into()),
            (10, "end".into()),
            (11, "x = { |y| z = a[ 1]".into()),
        ];
        let found: Vec<_> = statements(text).collect();
        assert_eq!(found, expected);
    }
}
