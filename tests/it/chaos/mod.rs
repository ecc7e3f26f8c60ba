//! Kills at any instant: server, shim, scanner, git, its helpers; one of them or two at once. One
//! checker then verifies the same invariants each time.
//!
//! `SCANWATCH_ROUNDS`, `SCANWATCH_SEED` and `SCANWATCH_FIRST_ROUND` choose the rounds; a round that
//! fails is named and can be replayed alone.

mod account;
mod calls;
mod check;
mod reader;
mod rounds;
mod script;
mod stopped;
mod victims;

pub(crate) use account::{Account, ClientRequest};
pub(crate) use check::{Checker, folders};
pub(crate) use victims::Target;

use std::{fmt::Display, str::FromStr};

/// A number from the environment.
pub(crate) fn chosen<T: FromStr<Err: Display>>(variable: &str, default: T) -> T {
    match std::env::var(variable) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    }
}

/// Prints the progress of a long run.
#[expect(clippy::print_stderr, reason = "how a long run goes, and why a test has tested nothing")]
pub(crate) fn say(text: impl Display) {
    eprintln!("{text}");
}
