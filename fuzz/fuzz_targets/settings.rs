//! The fuzz target `settings` of `scanwatch::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scanwatch::fuzzing::run("settings", bytes));
