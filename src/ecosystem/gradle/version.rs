//! Versions by "Declaring Versions and Ranges" and "Declaring Rich Versions" of Gradle's manual.
//!
//! Input: a declared version, or the `version` block of a module. Output: the version, or the range where it is
//! not a single version. Invariants: of a range with a preferred version, that version is used.

use crate::ecosystem::script::{self, Tokens};
use std::sync::Arc;

/// Longest version in bytes, because many modules may share it.
pub(super) const LONGEST_VERSION: usize = 300;

/// A declared version: one version, or a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Declared<'v> {
    Exact(&'v str),
    Range(&'v str),
}

impl<'v> Declared<'v> {
    /// `1.0!!` is strict, `[1,2)!!1.5` prefers a version, `[1.0]` is one version; `1.+`, `latest.release` and
    /// intervals are ranges. None for an empty text.
    pub(super) fn of(declared: &'v str) -> Option<Self> {
        let declared = declared.trim();
        let (version, preferred) = declared.split_once("!!").unwrap_or((declared, ""));
        let only = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let version = only.unwrap_or(version);
        if declared.is_empty() {
            return None;
        }
        Some(match [version, preferred].into_iter().find(|version| is_exact(version)) {
            Some(exact) => Self::Exact(exact),
            None => Self::Range(declared),
        })
    }
}

fn is_exact(version: &str) -> bool {
    let is_range = version.contains(['[', ']', '(', ')', ',', ' ']) || version.ends_with('+');
    !(version.is_empty() || is_range || version.starts_with("latest."))
}

/// The parts of a rich version, as written.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Rich {
    /// The strict version, otherwise the required one.
    pub(super) fixed: Option<Arc<str>>,
    pub(super) preferred: Option<Arc<str>>,
}

impl Rich {
    /// A version that is declared as such.
    pub(super) fn of_text(text: &str) -> Self {
        Self { fixed: bounded(text), preferred: None }
    }

    /// The `version` block in the closure of a module, which begins at `bracket`.
    pub(super) fn of_closure(tokens: &Tokens<'_>, bracket: usize) -> Self {
        let behind = tokens.behind_bracket(bracket);
        let is_version =
            |at: &usize| tokens.word(*at) == Some("version") && tokens.is_mark(at + 1, '{');
        let block = (bracket + 1..behind).find(is_version);
        block.map_or_else(Self::default, |at| Self::of_block(tokens, at + 1))
    }

    /// The block that begins at `bracket`: `{ strictly("[1, 2["); prefer("1.5") }`.
    pub(super) fn of_block(tokens: &Tokens<'_>, bracket: usize) -> Self {
        let mut rich = Self::default();
        let mut required = None;
        for at in bracket + 1..tokens.behind_bracket(bracket) {
            let part = match tokens.word(at) {
                Some("strictly") => &mut rich.fixed,
                Some("require") => &mut required,
                Some("prefer") => &mut rich.preferred,
                _ => continue,
            };
            let value_at = at + 1 + usize::from(tokens.is_mark(at + 1, '('));
            *part = script::value(tokens, value_at).and_then(|(text, _)| bounded(&text));
        }
        rich.fixed = rich.fixed.or(required);
        rich
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fixed.is_none() && self.preferred.is_none()
    }
}

fn bounded(text: &str) -> Option<Arc<str>> {
    Some(text).filter(|text| text.len() <= LONGEST_VERSION).map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::Dialect;

    #[test]
    fn declared_versions_are_exact_or_ranges() {
        for (declared, expected) in [
            ("1.0", Some(Declared::Exact("1.0"))),
            ("1.0!!", Some(Declared::Exact("1.0"))),
            ("[1.5]", Some(Declared::Exact("1.5"))),
            ("1.0+build", Some(Declared::Exact("1.0+build"))),
            ("[1.0, 2.0[!!1.5", Some(Declared::Exact("1.5"))),
            ("[1.0, 2.0[!!", Some(Declared::Range("[1.0, 2.0[!!"))),
            ("[1.0,2.0]", Some(Declared::Range("[1.0,2.0]"))),
            ("1.+", Some(Declared::Range("1.+"))),
            ("+", Some(Declared::Range("+"))),
            ("latest.release", Some(Declared::Range("latest.release"))),
            ("", None),
        ] {
            assert_eq!(Declared::of(declared), expected, "{declared}");
        }
    }

    #[test]
    fn version_blocks_are_read() {
        for (text, fixed, preferred) in [
            ("{ version { strictly '1.0' } }", Some("1.0"), None),
            ("{\nbecause 'x'\nversion {\nrequire(\"$v\")\nreject '1.1'\n}\n}", Some("${v}"), None),
            ("{ version { strictly(\"[1, 2[\"); prefer(\"1.5\") } }", Some("[1, 2["), Some("1.5")),
            ("{ version { require v.a\nstrictly '1' } }", Some("1"), None),
            ("{ version { prefer v.a } }", None, Some("${v.a}")),
            ("{ exclude group: 'prefer' }", None, None),
        ] {
            let tokens = script::tokens(text, Dialect::Groovy);
            let rich = Rich::of_closure(&tokens, 0);
            assert_eq!((rich.fixed.as_deref(), rich.preferred.as_deref()), (fixed, preferred));
        }
    }
}
