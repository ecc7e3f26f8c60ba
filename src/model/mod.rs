//! The words of the domain: plain data and pure rules.
//!
//! Input: bytes and values that the outer modules read. Output: checked
//! types and decisions. Invariants: nothing here touches a disk, a network, a
//! clock or a runtime; the same input gives the same answer.

pub mod address;
pub mod attempt;
pub mod declared;
pub mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod git_ref;
pub mod git_url;
pub mod job_id;
pub mod job_row;
pub mod json;
pub mod master;
pub mod pattern;
pub mod plan;
pub mod progress;
pub mod redact;
pub mod repository;
pub mod retry;
pub mod scan_result;
pub mod self_test;
pub mod state;
pub mod status_file;
pub mod task;
pub mod time;
pub mod unseen;

pub use failure::{Failure, FailureKind};
pub use job_id::JobId;
pub use state::{JobState, RepoState};
