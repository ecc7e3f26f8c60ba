//! Git, as a program that is never trusted with more than it needs.
//!
//! ```text
//! url ─► gate (GitUrl) ─► addresses judged and pinned ─► git fetch --depth=1 into a bare folder
//!     ─► commit ─► ls-tree ─► entries ─► git fetch of what is wanted and missing ─► cat-file ─► bytes
//! ```
//!
//! Input: a URL or a bare repository of this machine. Output: the entries of
//! one commit's tree, and the bytes of those that somebody asks for.
//!
//! Invariants: nothing is ever checked out, so that links, hooks, filters, submodules
//! and names of files cannot do harm; git knows no settings but ours and contacts no host but
//! the one that the gate let through; credentials travel in its environment alone; every git
//! that was started is ended, with its helpers, before the scanner goes on without it.

mod command;
mod diagnosis;
mod error;
mod fetch;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod objects;
mod process;
mod progress;
mod reference;
mod remote;
mod repository;
mod tree;
mod version;

pub(super) use command::{Git, program_in};
pub(super) use error::GitError;
pub(super) use fetch::{Blobs, REPOSITORY, fetch};
pub(super) use reference::Reference;
pub(super) use tree::GitTree;
pub(super) use version::warn_if_old;
