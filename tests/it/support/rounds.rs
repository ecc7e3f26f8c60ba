//! How much of a long test runs: little by default, more on request.

use std::{env, str::FromStr, time::Duration};

/// `SCANWATCH_ROUNDS`, or the minimum that is meaningful.
pub(crate) fn rounds<T: FromStr>(few: T) -> T {
    from_environment("SCANWATCH_ROUNDS").unwrap_or(few)
}

/// `SCANWATCH_PAUSE_SECS`, or the shortest pause that is meaningful.
pub(crate) fn pause(short: Duration) -> Duration {
    from_environment("SCANWATCH_PAUSE_SECS").map_or(short, Duration::from_secs)
}

fn from_environment<T: FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, not {text:?}")))
}
