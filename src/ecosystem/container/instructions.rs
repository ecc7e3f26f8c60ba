//! The instructions of a Dockerfile, by the "Dockerfile reference" of Docker's manual.
//!
//! What flows in: the text. What flows out: one line for each instruction, with those joined that a
//! backslash continues, without comments and without here-documents. What must stay true: a
//! here-document that nothing ends is read as if it were none, so that what is below it counts.

use std::borrow::Cow;

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

/// Takes a text apart.
pub(super) fn read(text: &str) -> Vec<Instruction<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let escape = escape_of(&lines);
    let mut instructions: Vec<Instruction<'_>> = Vec::new();
    let mut is_open = false;
    let mut at = 0;
    // One that nothing ends would be looked for from each line on.
    let mut unended = false;
    while let Some(line) = lines.get(at) {
        let number = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
        at += 1;
        let content = line.trim();
        // A comment or a blank line does not end what it stands in.
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (content, continues) = match content.strip_suffix(escape) {
            Some(content) => (content, true),
            None => (content, false),
        };
        match instructions.last_mut().filter(|_| is_open) {
            Some(last) => last.text.to_mut().extend([" ", content]),
            None => instructions.push(Instruction { line: number, text: Cow::Borrowed(content) }),
        }
        is_open = continues;
        if !continues
            && !unended
            && let Some(last) = instructions.last()
        {
            for word in heredocs(&last.text) {
                match end_of_heredoc(&lines, at, word) {
                    Some(end) => at = end,
                    None => unended = true,
                }
            }
        }
    }
    instructions
}

/// `# escape=` among the directives at the top says what continues a line.
fn escape_of(lines: &[&str]) -> char {
    let directives = lines.iter().map_while(|it| it.trim().strip_prefix('#'));
    let escapes = directives.filter_map(|it| it.split_once('='));
    let escape = escapes
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape"))
        .map(|(_, value)| value.trim())
        .next();
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

/// The line behind the one that ends a here-document.
fn end_of_heredoc(lines: &[&str], begin: usize, word: &str) -> Option<usize> {
    let length = lines.get(begin..)?.iter().position(|it| it.trim_start_matches('\t') == word)?;
    Some(begin + length + 1)
}
