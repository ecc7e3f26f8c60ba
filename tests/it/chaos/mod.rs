//! Whoever is killed, at whatever instant: server, shim, scanner, git, its helpers; one of them or
//! two at once. What has to hold afterwards is asked by one checker, of the same promises each time.
//!
//! `SCANWATCH_ROUNDS`, `SCANWATCH_SEED` and `SCANWATCH_FIRST_ROUND` choose what is played; a round
//! that fails is named, and can be played again alone.

mod account;
mod calls;
mod check;
mod play;
mod reader;
mod rounds;
mod stopped;
mod victims;

pub(crate) use account::{Account, Wish};
pub(crate) use check::{Checker, folders};
pub(crate) use victims::Target;

use std::{fmt::Display, str::FromStr};

/// A number that whoever runs the tests may choose.
pub(crate) fn chosen<T: FromStr<Err: Display>>(variable: &str, default: T) -> T {
    match std::env::var(variable) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    }
}

/// Says something to whoever watches a long run.
#[expect(clippy::print_stderr, reason = "how a long run goes, and why a test has tested nothing")]
pub(crate) fn say(text: impl Display) {
    eprintln!("{text}");
}
