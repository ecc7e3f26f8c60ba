//! Runs git as a program that is not trusted.
//!
//! ```text
//! url ─► gate (GitUrl) ─► addresses checked and pinned ─► git fetch --depth=1 into a bare folder
//!     ─► commit ─► cat-file or ls-tree ─► entries ─► git fetch of wanted, missing blobs ─► cat-file ─► bytes
//! ```
//!
//! Input: a URL or a local bare repository. Output: the entries of one commit's tree, and the
//! contents of requested blobs. For a local work tree: which files git tracks and ignores.
//!
//! Invariants: nothing is ever checked out, so links, hooks, filters, submodules and file names
//! cannot do harm; git uses only our settings and contacts only the host that the gate allowed;
//! credentials are only in its environment; every started git is ended, including its helper
//! processes, before the scanner continues without it.

mod checkout;
mod command;
mod commit;
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
mod small_tree;
mod tree;
mod version;

pub(super) use checkout::{Checkout, Mode, Tracked};
pub(super) use command::{Git, program_in};
pub(super) use commit::current_commit;
pub(super) use error::GitError;
pub(super) use fetch::{Blobs, REPOSITORY, fetch};
pub(super) use reference::Reference;
pub(super) use tree::GitTree;
pub(super) use version::warn_if_old;
