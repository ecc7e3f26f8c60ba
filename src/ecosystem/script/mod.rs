//! Manifests that are programs, in Groovy, Kotlin, Scala, Python and others, and files that are
//! written like programs.
//!
//! What flows in: the text of a build script. What flows out: its tokens, and the names that it
//! gives to texts. What must stay true: nothing is ever run; a script that no compiler would take
//! still has tokens.

mod constants;
mod dialect;
mod lexer;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use constants::{Constants, Said, plain_name, value};
pub(crate) use dialect::Dialect;
pub(crate) use lexer::tokens;
pub(crate) use tokens::{Token, Tokens};
