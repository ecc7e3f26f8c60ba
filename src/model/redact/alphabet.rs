//! The characters that tools write in place of each other.
//!
//! Input: a character. Output: its equivalents, apart from its escapes. Invariants: no character is its own
//! equivalent, except among the separators of package names.

/// The equivalents of a character in addition to itself and its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// `+` for a blank; and `-`, `_` and `.` for each other, as in package names (PEP 503).
    Plain,
    /// `-` and `_` for `+` and `/` (RFC 4648, section 5).
    Base64,
}

impl Alphabet {
    /// The equivalents of a character.
    pub(super) fn others(self, character: char) -> &'static [&'static str] {
        match (self, character) {
            (Self::Plain, ' ') => &["+"],
            (Self::Plain, '-' | '_' | '.') => &["-", "_", "."],
            (Self::Base64, '+') => &["-"],
            (Self::Base64, '/') => &["_"],
            _ => &[],
        }
    }
}
