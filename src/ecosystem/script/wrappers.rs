//! Methods of Gradle that return the module in their argument.
//!
//! Input: the tokens of a build script. Output: the module in a call such as `platform("g:a:v")`. Invariants: the work for
//! one call is bounded.

use super::{Tokens, operand::plain_operand};

/// Depth of nested calls.
const MAX_DEPTH: usize = 4;

/// Methods of Gradle that return the module in their argument: `dependencies.create("g:a:v")`.
const WRAPPERS: [&str; 6] =
    ["create", "platform", "enforcedPlatform", "module", "testFixtures", "variantOf"];

/// Names in a path that leads to such a method.
const MAX_NAMES: usize = 16;

/// The module in a call of a method of Gradle that returns it: `platform("g:a:v")`,
/// `dependencies.enforcedPlatform(libs.bom)`, `variantOf(libs.a) { … }`, `testFixtures 'g:a:v'`.
pub(super) fn wrapped(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    let mut inner = at;
    let mut outermost = None;
    for _ in 0..MAX_DEPTH {
        let Some(arguments) = arguments_of_wrapper(tokens, inner) else { break };
        outermost.get_or_insert(arguments);
        inner = arguments + usize::from(tokens.is_mark(arguments, '('));
    }
    let outermost = outermost?;
    let (value, end) = plain_operand(tokens, inner)?;
    // Other methods have these names too: `tasks.create("x")`.
    if tokens.text(inner).is_some() && !value.contains([':', '$']) {
        return None;
    }
    if !tokens.is_mark(outermost, '(') {
        return Some((value, end));
    }
    let behind = tokens.behind_bracket(outermost);
    let behind = if tokens.is_mark(behind, '{') { tokens.behind_bracket(behind) } else { behind };
    Some((value, behind))
}

/// The index behind the name of a method in [`WRAPPERS`] that is called at `at`.
pub(crate) fn arguments_of_wrapper(tokens: &Tokens<'_>, at: usize) -> Option<usize> {
    let mut name_at = at;
    // Bounded, because a longer path would be searched again from each of its parts.
    while name_at < at + 2 * MAX_NAMES
        && tokens.word(name_at).is_some()
        && tokens.is_mark(name_at + 1, '.')
    {
        name_at += 2;
    }
    let is_called = tokens.is_mark(name_at + 1, '(') || tokens.text(name_at + 1).is_some();
    (is_called && WRAPPERS.contains(&tokens.word(name_at)?)).then_some(name_at + 1)
}

/// Whether the call at `at` is one of `platform` or `enforcedPlatform`.
pub(super) fn is_platform(tokens: &Tokens<'_>, at: usize) -> bool {
    let name = arguments_of_wrapper(tokens, at).and_then(|arguments| arguments.checked_sub(1));
    let name = name.and_then(|name| tokens.word(name));
    name.is_some_and(|name| matches!(name, "platform" | "enforcedPlatform"))
}
