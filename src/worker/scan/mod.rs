//! The scan proper: a tree of files goes in, packages and counts come out.
//!
//! ```text
//! Tree::list ─► wanted by a parser? ─► Tree::prepare ─► Tree::read (capped) ─► parse (guarded) ─► join ─► Found
//! ```
//!
//! Invariants: one file that is odd, too large, broken or deadly for its parser costs
//! that file and a warning, never the rest; what is larger than a limit ends the scan and says
//! so, and is never cut in silence; the same tree gives the same answer.

mod caps;
mod categories;
mod engine;
mod guard;
mod tree;

pub(super) use caps::{Caps, LimitError};
pub(super) use categories::categories;
pub(super) use engine::{Found, ParserFor, Scan, scan};
pub(super) use tree::{Content, Entry, Kind, Tree};
