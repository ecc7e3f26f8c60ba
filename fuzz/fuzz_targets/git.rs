//! The reader `git` of `scanwatch::made_up`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scanwatch::made_up::run("git", bytes));
