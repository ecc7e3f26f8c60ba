//! Manifests that are programs: Groovy, Kotlin, Scala and Python.
//!
//! What flows in: the text of a build script. What flows out: its tokens, and the names that it
//! gives to texts. What must stay true: nothing is ever run; a script that no compiler would take
//! still has tokens.

mod constants;
mod lexer;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use constants::{Constants, value};
pub(crate) use lexer::{Dialect, tokens};
pub(crate) use tokens::{Token, Tokens};
