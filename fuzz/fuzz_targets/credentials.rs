//! The fuzz target `credentials` of `scanwatch::fuzzing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scanwatch::fuzzing::run("credentials", bytes));
