//! The scope of credentials: what a client may do.
//!
//! Input: a name from a file or an argument. Output: a [`Scope`].
//!
//! Invariants: scopes are ordered; each includes those before it.

use std::{fmt, str::FromStr};

/// What a client may do; each scope includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read everything.
    Read,
    /// Submit, cancel and retry too.
    Write,
    /// Remove jobs too.
    Admin,
}

impl Scope {
    /// The name of the scope in files, arguments and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no scope.
#[derive(Debug, thiserror::Error)]
#[error("the scope must be read, write or admin")]
pub struct NoScope;

impl FromStr for Scope {
    type Err = NoScope;

    fn from_str(text: &str) -> Result<Self, NoScope> {
        let known = [Self::Read, Self::Write, Self::Admin];
        known.into_iter().find(|scope| scope.as_str() == text).ok_or(NoScope)
    }
}
