//! The instructions of a Dockerfile, by the "Dockerfile reference" of Docker's manual.
//!
//! What flows in: the text. What flows out: one line for each instruction, with those joined that a
//! backslash continues, without comments and without here-documents. What must stay true: a
//! here-document that nothing ends is read as if it were none, so that what is below it counts.

use std::{borrow::Cow, str::Lines};

/// An instruction and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction<'a> {
    pub(super) line: u32,
    pub(super) text: Cow<'a, str>,
}

impl Instruction<'_> {
    /// The keyword in upper case, and what is behind it.
    pub(super) fn split(&self) -> (String, &str) {
        split(&self.text)
    }
}

/// The keyword that a text begins with, in upper case, and what is behind it.
pub(super) fn split(text: &str) -> (String, &str) {
    let text = text.trim();
    let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (keyword.to_ascii_uppercase(), rest.trim_start())
}

/// Takes a text apart, one instruction at a time: a file may have as many as it has lines.
pub(super) fn read(text: &str) -> Instructions<'_> {
    Instructions {
        lines: text.lines(),
        number: 0,
        escape: escape_of(text.lines()),
        is_unended: false,
    }
}

/// The instructions of a text, in their order.
#[derive(Debug)]
pub(super) struct Instructions<'a> {
    lines: Lines<'a>,
    /// How many lines were taken.
    number: u32,
    escape: char,
    /// Whether nothing ends a here-document: it would be looked for from each line on.
    is_unended: bool,
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Instruction<'a>;

    fn next(&mut self) -> Option<Instruction<'a>> {
        let mut instruction: Option<Instruction<'a>> = None;
        while let Some(line) = self.lines.next() {
            self.number = self.number.saturating_add(1);
            let content = line.trim();
            // A comment or a blank line does not end what it stands in.
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (content, continues) = match content.strip_suffix(self.escape) {
                Some(content) => (content, true),
                None => (content, false),
            };
            let whole = match instruction.as_mut() {
                Some(whole) => {
                    whole.text.to_mut().extend([" ", content]);
                    whole
                }
                None => instruction
                    .insert(Instruction { line: self.number, text: Cow::Borrowed(content) }),
            };
            if !continues {
                for word in heredocs(&whole.text) {
                    self.skip_heredoc(word);
                }
                break;
            }
        }
        instruction
    }
}

impl Instructions<'_> {
    /// Goes behind the line that ends a here-document.
    fn skip_heredoc(&mut self, word: &str) {
        if self.is_unended {
            return;
        }
        let mut ahead = self.lines.clone();
        match ahead.position(|it| it.trim_start_matches('\t') == word) {
            Some(before) => {
                self.lines = ahead;
                let lines = u32::try_from(before + 1).unwrap_or(u32::MAX);
                self.number = self.number.saturating_add(lines);
            }
            None => self.is_unended = true,
        }
    }
}

/// `# escape=` among the directives at the top says what continues a line.
fn escape_of(lines: Lines<'_>) -> char {
    let directives = lines.map_while(|it| it.trim().strip_prefix('#'));
    let mut escapes = directives.filter_map(|it| it.split_once('='));
    let escape = escapes
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .map(|(_, value)| value.trim());
    if escape == Some("`") { '`' } else { '\\' }
}

/// The words that end the here-documents of an instruction.
fn heredocs(text: &str) -> Vec<&str> {
    const KEYWORDS: [&str; 3] = ["RUN", "COPY", "ADD"];
    let keyword = text.split([' ', '\t']).next().unwrap_or_default();
    if !KEYWORDS.iter().any(|it| keyword.eq_ignore_ascii_case(it)) {
        return Vec::new();
    }
    text.split("<<")
        .skip(1)
        .filter_map(|it| {
            let it = it.strip_prefix('-').unwrap_or(it).trim_start_matches(['"', '\'']);
            let end = it.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let word = it.get(..end.unwrap_or(it.len()))?;
            (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then_some(word)
        })
        .collect()
}
