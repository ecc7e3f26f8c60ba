//! Manifests that are programs in Groovy, Kotlin, Scala, Python and other languages, and files with a
//! similar syntax.
//!
//! Input: the text of a build script. Output: its tokens, and its string constants. Invariants: nothing is
//! ever run; an invalid script still has tokens.

mod constants;
mod defaults;
mod dialect;
mod lexer;
mod operand;
#[cfg(test)]
mod tests;
mod tokens;
mod wrappers;

pub(crate) use constants::{Constants, Definition, ends_of_list, plain_name, value};
pub(crate) use dialect::Dialect;
pub(crate) use lexer::tokens;
pub(crate) use tokens::{Token, Tokens};
pub(crate) use wrappers::arguments_of_wrapper;
