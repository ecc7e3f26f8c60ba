//! The blocks and attributes of HCL.
//!
//! Input: tokens. Output: the items of a body, in order. Invariants: each token is read once for
//! each level, and unclosed brackets end with the file.

use crate::ecosystem::script::{Token, Tokens};
use std::ops::Range;

/// `name = value`, `name: value` in an object, or `kind "label" "label" { … }`.
#[derive(Debug)]
pub(super) struct Item<'t> {
    pub(super) key: &'t str,
    pub(super) line: u32,
    pub(super) labels: Vec<&'t str>,
    /// The index of the value, or of the brace of a block.
    pub(super) value: usize,
    pub(super) is_block: bool,
}

impl Item<'_> {
    /// The tokens in the body of a block or an object.
    pub(super) fn body(&self, tokens: &Tokens<'_>) -> Option<Range<usize>> {
        if !tokens.is_mark(self.value, '{') {
            return None;
        }
        let end = tokens.behind_bracket(self.value);
        let closed = end > self.value + 1 && tokens.is_mark(end - 1, '}');
        Some(self.value + 1..if closed { end - 1 } else { end })
    }

    /// The value, if it is a single string.
    pub(super) fn text<'t>(&self, tokens: &'t Tokens<'_>) -> Option<&'t str> {
        let behind = self.value + 1;
        let ends = tokens.ends_line(behind) || matches!(tokens.mark(behind), Some('}' | ','));
        tokens.text(self.value).filter(|_| !self.is_block && ends)
    }
}

/// The kinds of blocks with a label that name a provider or a module: of Terraform, of Terraform's stacks, and of
/// Terragrunt's stacks.
const LABELLED: [&str; 5] = ["provider", "module", "component", "unit", "stack"];

/// The blocks of these kinds and the `terraform` blocks anywhere in the file: an unclosed block contains the
/// blocks after it, which still have to be found.
pub(super) fn blocks<'t>(tokens: &'t Tokens<'_>) -> Vec<Item<'t>> {
    let header = |at: usize| {
        let key = tokens.word(at)?;
        let labels: Vec<_> = match key {
            key if LABELLED.contains(&key) => {
                vec![tokens.text(at + 1).or_else(|| tokens.word(at + 1))?]
            }
            // Terraform's stacks have it at the top level.
            "terraform" | "required_providers" => Vec::new(),
            _ => return None,
        };
        let value = at + 1 + labels.len();
        let is_block = tokens.is_mark(value, '{');
        is_block.then(|| Item { key, line: tokens.line(at), labels, value, is_block })
    };
    (0..tokens.len()).filter_map(header).collect()
}

/// The items of a body.
pub(super) fn items<'t>(tokens: &'t Tokens<'_>, body: Range<usize>) -> Vec<Item<'t>> {
    let mut items = Vec::new();
    let mut at = body.start;
    while at < body.end {
        let start = at;
        let key = tokens.word(at).or_else(|| tokens.text(at));
        let mut next = at + 1;
        let mut labels = Vec::new();
        while let Some(Token::Text(_) | Token::Word(_)) = tokens.get(next) {
            labels.extend(tokens.text(next).or_else(|| tokens.word(next)));
            next += 1;
        }
        let assigns = labels.is_empty() && matches!(tokens.mark(next), Some('=' | ':'));
        let opens = tokens.is_mark(next, '{');
        at = match key {
            Some(key) if assigns || opens => {
                let value = if assigns { next + 1 } else { next };
                let line = tokens.line(start);
                items.push(Item { key, line, labels, value, is_block: opens });
                if opens {
                    tokens.behind_bracket(value)
                } else {
                    end_of_value(tokens, value, body.end)
                }
            }
            Some(_) => next,
            None => tokens.behind_bracket(start),
        };
    }
    items
}

/// The index of the line end or comma after a value.
fn end_of_value(tokens: &Tokens<'_>, mut at: usize, end: usize) -> usize {
    while at < end && !tokens.ends_line(at) && !tokens.is_mark(at, ',') {
        at = tokens.behind_bracket(at);
    }
    at
}
