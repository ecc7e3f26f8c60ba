//! The smallest values of a script: a string, or a path of names.
//!
//! Input: the tokens of a script. Output: the value as a text with `${…}`, and its end. Invariants: a path is bounded.

use super::Tokens;

/// Longest name and value in bytes.
pub(super) const MAX_VALUE: usize = 300;

/// A string or a path of names: `x.y`, `extra["x"]`, `property("x")`.
pub(super) fn plain_operand(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    if let Some(text) = tokens.text(at) {
        return Some((text.to_owned(), at + 1));
    }
    let mut path = tokens.word(at)?.to_owned();
    let mut at = at + 1;
    while path.len() <= MAX_VALUE {
        if let (true, Some(word)) = (tokens.is_mark(at, '.'), tokens.word(at + 1)) {
            path.extend([".", word]);
            at += 2;
        } else if let (Some(open @ ('[' | '(')), Some(key)) = (tokens.mark(at), tokens.text(at + 1))
        {
            let close = if open == '[' { ']' } else { ')' };
            if !tokens.is_mark(at + 2, close) {
                break;
            }
            path.extend(["['", key, "']"]);
            at += 3;
        } else {
            break;
        }
    }
    Some((format!("${{{path}}}"), at))
}
