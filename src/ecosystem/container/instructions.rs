//! The instructions of a Dockerfile, by the "Dockerfile reference" of Docker's manual.
//!
//! Input: the text. Output: one text for each instruction, with continuation lines joined, and without
//! comments and here-documents. Invariants: an unterminated here-document is ignored, so that the lines
//! below it count.

use std::{borrow::Cow, str::Lines};

/// An instruction and the line on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction<'a> {
    pub(super) line: u32,
    pub(super) text: Cow<'a, str>,
}

impl Instruction<'_> {
    /// The keyword in upper case, and the rest.
    pub(super) fn split(&self) -> (String, &str) {
        split(&self.text)
    }
}

/// Splits a text into the keyword at its beginning, in upper case, and the rest.
pub(super) fn split(text: &str) -> (String, &str) {
    let text = text.trim();
    let (keyword, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (keyword.to_ascii_uppercase(), rest.trim_start())
}

/// The words of an instruction. White space within a placeholder of a template (`<%= … %>`, `{{ … }}`,
/// `{% … %}`) separates nothing.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start();
    // Once an end is missing, placeholders are read as written, so that it is searched only once.
    let mut is_complete = true;
    std::iter::from_fn(move || {
        let (mut end, mut close): (usize, Option<&str>) = (0, None);
        while let Some(part) = rest.get(end..).filter(|part| !part.is_empty()) {
            match close {
                Some(closing) => {
                    let found = part.find(closing);
                    is_complete = found.is_some();
                    end += found.map_or(0, |at| at + closing.len());
                    close = None;
                }
                None if part.starts_with(char::is_whitespace) => break,
                None => {
                    let mut known = PLACEHOLDERS.iter().filter(|_| is_complete);
                    let opened = known.find(|(open, _)| part.starts_with(open));
                    close = opened.map(|(_, closing)| *closing);
                    let step = opened.map(|(open, _)| open.len());
                    end += step.or_else(|| Some(part.chars().next()?.len_utf8()))?;
                }
            }
        }
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = behind.trim_start();
        (!word.is_empty()).then_some(word)
    })
}

/// How placeholders of templates begin and end.
const PLACEHOLDERS: [(&str, &str); 3] = [("<%", "%>"), ("{{", "}}"), ("{%", "%}")];

/// Iterates over the instructions of a text without collecting them.
pub(super) fn read(text: &str) -> Instructions<'_> {
    Instructions {
        lines: text.lines(),
        number: 0,
        escape: escape_of(text.lines()),
        is_unended: false,
    }
}

/// The instructions of a text, in order.
#[derive(Debug)]
pub(super) struct Instructions<'a> {
    lines: Lines<'a>,
    /// The number of lines that were read.
    number: u32,
    escape: char,
    /// Set once a here-document has no end, so that the end is not searched again from each line.
    is_unended: bool,
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Instruction<'a>;

    fn next(&mut self) -> Option<Instruction<'a>> {
        let mut instruction: Option<Instruction<'a>> = None;
        while let Some(line) = self.lines.next() {
            self.number = self.number.saturating_add(1);
            let content = line.trim();
            // A comment or a blank line does not end a continued instruction.
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
    /// Skips a here-document and the line that ends it.
    fn skip_heredoc(&mut self, word: &str) {
        if self.is_unended {
            return;
        }
        let mut ahead = self.lines.clone();
        match ahead.position(|line| line.trim_start_matches('\t') == word) {
            Some(before) => {
                self.lines = ahead;
                let lines = u32::try_from(before + 1).unwrap_or(u32::MAX);
                self.number = self.number.saturating_add(lines);
            }
            None => self.is_unended = true,
        }
    }
}

/// The character that continues a line, by the `# escape=` directive at the top.
fn escape_of(lines: Lines<'_>) -> char {
    let directives = lines.map_while(|line| line.trim().strip_prefix('#'));
    let mut escapes = directives.filter_map(|directive| directive.split_once('='));
    let escape = escapes
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .map(|(_, value)| value.trim());
    if escape == Some("`") { '`' } else { '\\' }
}

/// The delimiters of an instruction's here-documents.
fn heredocs(text: &str) -> Vec<&str> {
    const KEYWORDS: [&str; 3] = ["RUN", "COPY", "ADD"];
    let keyword = text.split([' ', '\t']).next().unwrap_or_default();
    if !KEYWORDS.iter().any(|known| keyword.eq_ignore_ascii_case(known)) {
        return Vec::new();
    }
    text.split("<<")
        .skip(1)
        .filter_map(|part| {
            let body = part.strip_prefix('-').unwrap_or(part).trim_start_matches(['"', '\'']);
            let end = body.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let word = body.get(..end.unwrap_or(body.len()))?;
            (!word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())).then_some(word)
        })
        .collect()
}
