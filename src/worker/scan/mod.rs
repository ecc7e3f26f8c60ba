//! The scan proper: reads a tree of files and finds packages.
//!
//! Input: a tree. Output: packages and counts.
//!
//! ```text
//! Tree::list ─► wanted by a parser? ─► Tree::prepare ─► Tree::read (capped) ─► parse (guarded) ─► join ─► ScanFindings
//! ```
//!
//! Invariants: a file that is odd, too large, broken or crashes its parser costs that file and a
//! warning, never the rest; exceeding a limit fails the scan with that cause, and nothing is
//! truncated silently; the same tree gives the same result.

mod categories;
mod engine;
mod files_digest;
mod findings;
mod guard;
mod notices;
mod urls;
mod wanted;

pub(super) use categories::categories;
pub(super) use engine::scan;
pub(super) use findings::{Scan, ScanFindings};
pub(super) use wanted::ParserFor;
