//! The flags of an entry in `package-lock.json`.
//!
//! Input: an entry of any lockfileVersion. Output: its scope. Invariants: an entry without flags is needed at
//! run time.

use crate::{ecosystem::json::Node, model::scan_result::Scope};

/// The scope by the entry's flags; no flag means that the project needs the package at run time.
pub(super) fn scope(entry: &Node<'_>) -> Scope {
    if entry.is_true("dev") {
        Scope::Dev
    } else if entry.is_true("peer") {
        Scope::Peer
    } else if entry.is_true("optional") || entry.is_true("devOptional") {
        // `devOptional`: a dependency for development that is optional at run time.
        Scope::Optional
    } else {
        Scope::Runtime
    }
}
