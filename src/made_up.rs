//! Made-up input for tests: how many cases are tried, and what texts are made of.
//!
//! `PROPTEST_CASES` sets how many, for all of them; without it each test tries as many as a run of
//! all tests has time for.

use proptest::prelude::*;

/// So many cases, if nobody wants more.
pub(crate) fn cases(few: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok());
    ProptestConfig {
        cases: wanted.unwrap_or(few),
        // A case that fails is printed, and becomes a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
