//! How much of a long test runs: little by default, more on request.

use std::{env, str::FromStr, time::Duration};

/// `SCANWATCH_ROUNDS`, or the minimum that is meaningful.
pub(crate) fn rounds<T: FromStr>(few: T) -> T {
    by_command("SCANWATCH_ROUNDS").unwrap_or(few)
}

/// `SCANWATCH_PAUSE_SECS`, or the shortest pause that is meaningful.
pub(crate) fn pause(short: Duration) -> Duration {
    by_command("SCANWATCH_PAUSE_SECS").map_or(short, Duration::from_secs)
}

fn by_command<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text:?}")))
}
