//! Lexical differences between the languages of scripts.
//!
//! Input: a language. Output: the syntax of its comments, strings and names, by its reference. Invariants: a
//! new language is a variant here; only this file and the lexer contain syntax of a single language.

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Groovy,
    Kotlin,
    Scala,
    Python,
    Elixir,
    Erlang,
    /// HCL, the language of Terraform.
    Hcl,
    Lua,
    Nim,
    Opam,
    Perl,
    Swift,
}

impl Dialect {
    /// The marks that begin a comment up to the end of the line.
    pub(super) fn line_comments(self) -> &'static [&'static str] {
        match self {
            Self::Groovy | Self::Kotlin | Self::Scala | Self::Swift => &["//"],
            Self::Python | Self::Elixir | Self::Nim | Self::Opam | Self::Perl => &["#"],
            Self::Erlang => &["%"],
            Self::Hcl => &["#", "//"],
            Self::Lua => &["--"],
        }
    }

    /// The marks around a block comment.
    pub(super) fn block_comment(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Groovy | Self::Kotlin | Self::Scala | Self::Hcl | Self::Swift => {
                Some(("/*", "*/"))
            }
            Self::Lua => Some(("--[[", "]]")),
            Self::Nim => Some(("#[", "]#")),
            Self::Opam => Some(("(*", "*)")),
            Self::Python | Self::Elixir | Self::Erlang | Self::Perl => None,
        }
    }

    /// Whether `'` may enclose strings.
    pub(super) fn has_single_quotes(self) -> bool {
        matches!(
            self,
            Self::Groovy | Self::Python | Self::Elixir | Self::Erlang | Self::Lua | Self::Perl
        )
    }

    /// Whether a name may contain `-`.
    pub(super) fn has_dashes_in_names(self) -> bool {
        matches!(self, Self::Hcl | Self::Opam)
    }
}
