//! Made-up input, for tests and for fuzzers: every reader of what others write, by a name, as a
//! function of bytes that checks what must hold whatever they are.
//!
//! Tests damage real input, as many times as a run of all tests has time for, or as often as
//! `PROPTEST_CASES` says. Fuzzers (`fuzz/`) go on by themselves.

#[cfg(test)]
pub(crate) mod damage;
#[cfg(test)]
mod tests;

use crate::{api, config, ecosystem, intake, model, worker};

/// A name, and what reads bytes and checks what comes of them.
pub type Reader = (&'static str, fn(&[u8]));

/// Everything that reads what others write.
pub const READERS: [Reader; 8] = [
    ("parsers", ecosystem::check::parsers),
    ("url", model::git_url::check::url),
    ("status", model::check::status),
    ("redactor", model::redact::check::redactor),
    ("git", worker::git_check::git),
    ("listing", intake::discovery::fuzz::listing),
    ("credentials", api::auth::check::credentials),
    ("settings", config::fuzz::settings),
];

/// Gives bytes to the reader of this name.
///
/// # Panics
/// If something does not hold that must, or there is no such reader.
pub fn run(reader: &str, bytes: &[u8]) {
    let (_, check) = READERS.iter().find(|it| it.0 == reader).expect("a reader of this name");
    check(bytes);
}

/// So many cases, if nobody wants more.
#[cfg(test)]
pub(crate) fn cases(few: u32) -> proptest::prelude::ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok());
    proptest::prelude::ProptestConfig {
        cases: wanted.unwrap_or(few),
        // A case that fails is printed, and becomes a test of its own.
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    }
}

/// The first byte as a number below `most`, and the rest.
pub(crate) fn choice(bytes: &[u8], most: usize) -> (usize, &[u8]) {
    match bytes {
        [first, rest @ ..] => (usize::from(*first) % most, rest),
        [] => (0, bytes),
    }
}

/// The processor time that some work takes, however busy the machine is.
#[cfg(test)]
pub(crate) fn time_of<T>(work: impl FnOnce() -> T) -> std::time::Duration {
    let used = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::try_from(used).expect("time does not run backwards")
    };
    let begin = used();
    drop(work());
    used().saturating_sub(begin)
}
