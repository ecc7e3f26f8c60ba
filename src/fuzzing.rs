//! Fuzz targets: each parser of untrusted input, as a named function of bytes that asserts the
//! parser's invariants.
//!
//! Input: the name of a target, and any bytes. Output: nothing, or a panic where an invariant is
//! violated. Invariants: this module exists only in test and fuzzing builds.
//!
//! Property tests mutate real input; `PROPTEST_CASES` sets how many cases they run. The fuzzers in
//! `fuzz/` run without a limit.

#[cfg(test)]
pub(crate) mod mutation;
#[cfg(test)]
mod tests;

use crate::{api, config, ecosystem, intake, model, worker};

/// The name of a fuzz target, and the function that parses the bytes and asserts the invariants.
pub type Target = (&'static str, fn(&[u8]));

/// All fuzz targets. Each has a binary in `fuzz/fuzz_targets`.
pub const TARGETS: [Target; 8] = [
    ("parsers", ecosystem::fuzz::parsers),
    ("url", model::git_url::fuzz::url),
    ("status", model::fuzz::status),
    ("redactor", model::redact::fuzz::redactor),
    ("git", worker::git_fuzz::git),
    ("listing", intake::discovery::fuzz::listing),
    ("credentials", api::auth::fuzz::credentials),
    ("settings", config::fuzz::settings),
];

/// Runs the fuzz target of this name.
///
/// # Panics
/// If an invariant is violated, or if there is no target of this name.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, check) =
        TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    check(bytes);
}

/// The configuration of a property test with this many cases; `PROPTEST_CASES` overrides the number.
#[cfg(test)]
pub(crate) fn cases(default: u32) -> proptest::prelude::ProptestConfig {
    let configured = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    proptest::prelude::ProptestConfig {
        cases: configured.unwrap_or(default),
        // Proptest prints a failing case; whoever fixes it adds a test for it.
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    }
}

/// The first byte modulo `count`, and the remaining bytes: how a target chooses among variants.
pub(crate) fn choice(bytes: &[u8], count: usize) -> (usize, &[u8]) {
    match bytes {
        [first, rest @ ..] => (usize::from(*first) % count, rest),
        [] => (0, bytes),
    }
}

/// The CPU time of a closure; unlike wall-clock time it does not depend on the load of the machine.
#[cfg(test)]
pub(crate) fn time_of<T>(work: impl FnOnce() -> T) -> std::time::Duration {
    let used = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::try_from(used).expect("the CPU clock is not negative")
    };
    let begin = used();
    drop(work());
    used().saturating_sub(begin)
}
