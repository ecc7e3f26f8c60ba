//! Programs: executables that name what they were built from.
//!
//! Input: a file without an extension, or with one of programs and libraries. Output: the packages of a program of Go or of
//! Rust. Invariants: a file that is no executable costs the look at its first bytes; an executable of another language is neither a
//! package nor a warning.

use super::{ends_with, go_program, rust_program};
use crate::ecosystem::{Findings, Parser, SourceFile, path::file_name};

const ENDINGS: [&str; 5] = [".exe", ".dll", ".so", ".dylib", ".bin"];

/// The first bytes of ELF, PE and Mach-O files (32 and 64 bits in both byte orders, and universal ones).
const MAGIC: [&[u8]; 7] = [
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
];

/// Reads programs.
#[derive(Debug)]
pub(super) struct Program;

impl Parser for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn wants(&self, path: &str) -> bool {
        !file_name(path).contains('.') || ends_with(path, &ENDINGS)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        if !MAGIC.iter().any(|magic| file.bytes.starts_with(magic)) {
            return Findings::default();
        }
        go_program::read(file).or_else(|| rust_program::read(file)).unwrap_or_default()
    }
}
