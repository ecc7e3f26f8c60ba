//! What the languages of scripts differ in, as far as their tokens are concerned.
//!
//! What flows in: a language. What flows out: how its comments, texts and names are written, by
//! its reference. What must stay true: a new language is a variant here, and no word of it is
//! anywhere else but in the lexer.

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Groovy,
    Kotlin,
    Scala,
    Python,
    Elixir,
    Erlang,
    /// The language of Terraform.
    Hcl,
    Lua,
    Nim,
    Opam,
    Perl,
    Swift,
}

impl Dialect {
    /// What begins a comment that ends with its line.
    pub(super) fn line_comments(self) -> &'static [&'static str] {
        match self {
            Self::Groovy | Self::Kotlin | Self::Scala | Self::Swift => &["//"],
            Self::Python | Self::Elixir | Self::Nim | Self::Opam | Self::Perl => &["#"],
            Self::Erlang => &["%"],
            Self::Hcl => &["#", "//"],
            Self::Lua => &["--"],
        }
    }

    /// What begins and ends a comment of several lines.
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

    /// Whether a text may stand between `'` as well.
    pub(super) fn has_single_quotes(self) -> bool {
        matches!(
            self,
            Self::Groovy | Self::Python | Self::Elixir | Self::Erlang | Self::Lua | Self::Perl
        )
    }

    /// Whether a name may hold a `-`.
    pub(super) fn has_dashes_in_names(self) -> bool {
        matches!(self, Self::Hcl | Self::Opam)
    }
}
