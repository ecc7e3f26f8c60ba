//! How much of a long test is done: a little each time, more by command.

use std::{env, str::FromStr, time::Duration};

/// `SCANWATCH_ROUNDS`, or as few as decide something.
pub(crate) fn rounds<T: FromStr>(few: T) -> T {
    by_command("SCANWATCH_ROUNDS").unwrap_or(few)
}

/// `SCANWATCH_PAUSE_SECS`, or as short a time as decides something.
pub(crate) fn pause(short: Duration) -> Duration {
    by_command("SCANWATCH_PAUSE_SECS").map_or(short, Duration::from_secs)
}

fn by_command<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text:?}")))
}
