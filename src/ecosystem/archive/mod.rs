//! Committed archives and programs: what they say about themselves.
//!
//! Input: the bytes of a jar, a wheel, a package of `NuGet`, or a program of Go or Rust. Output: the packages that its own
//! metadata names, with `source: "archive"`. They are read only where a scan asks for them, because they are large and rarely
//! what a repository is built from.
//!
//! Invariants: nothing is unpacked but the few entries with metadata, in memory, within the limits of
//! [`ArchiveLimits`](super::budget::ArchiveLimits); an archive within an archive stays closed, and is counted in a note;
//! an archive without metadata is a warning, because something is in use that nobody can name.

mod go_program;
mod jar;
mod nupkg;
mod program;
mod rust_program;
mod wheel;
mod zip;

use super::Parser;

/// The parsers of archives, in the order in which they are tried.
pub(super) static ARCHIVES: &[&dyn Parser] =
    &[&jar::Jar, &wheel::Wheel, &nupkg::Nupkg, &program::Program];

/// The parser of an archive, by the path alone.
pub fn archive_parser_for(path: &str) -> Option<&'static dyn Parser> {
    ARCHIVES.iter().copied().find(|parser| parser.wants(path))
}

/// Whether a path ends with one of these, ignoring case.
fn ends_with(path: &str, endings: &[&str]) -> bool {
    let path = path.to_ascii_lowercase();
    endings.iter().any(|ending| path.ends_with(ending))
}
