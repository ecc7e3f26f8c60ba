//! The domain model: plain data and pure rules.
//!
//! Input: bytes and values that the outer modules read. Output: validated types and decisions.
//! Invariants: no disk, network, clock or runtime; the same input gives the same output.

pub mod address;
pub mod attempt;
pub mod control_chars;
pub mod credentials;
pub mod declared;
pub mod digest;
pub mod dry_run;
pub mod ecosystem;
pub mod element;
pub mod failure;
pub mod filters;
pub mod foreign_result;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod git_ref;
pub mod git_url;
pub mod job_counts;
mod job_facts;
pub mod job_id;
pub mod job_query;
pub mod job_row;
pub mod json;
pub mod license;
pub mod listing;
pub mod master;
pub mod origin;
pub mod pattern;
pub mod plan;
pub mod progress;
pub mod proxy;
pub mod rate_limit;
pub mod redact;
pub mod report;
pub mod repository;
pub mod retry;
pub mod scan_result;
pub mod schedule;
pub mod self_test;
pub mod stage_progress;
pub mod state;
pub mod status_file;
pub mod target_key;
pub mod task;
pub mod time;
pub mod timetable;
pub mod version_order;
pub mod version_range;
pub mod webhook;

pub use failure::{Failure, FailureKind};
pub use job_id::{InvalidJobId, JobId};
pub use state::{JobState, RepoState};
