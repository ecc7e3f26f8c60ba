//! The parts of what is shown.
//!
//! Input: none. Output: their state. Invariants: plain data.

use super::{
    job::JobDetails,
    log::LogText,
    messages::{Feed, Verb},
};
use crate::model::{JobId, time::Timestamp};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Read,
    Write,
    Admin,
}

/// What lies above the view.
#[derive(Debug)]
pub(super) enum Mode {
    View,
    Help,
    /// A filter is being typed; and the one before.
    Filter {
        text: String,
        before: String,
    },
    Confirm(Confirmation),
}

/// A command that waits for a confirmation, and what it affects.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub(super) verb: Verb,
    pub(super) job: JobId,
    pub(super) lines: Vec<String>,
}

/// An interrupted stream.
#[derive(Debug)]
pub(super) struct Outage {
    pub(super) cause: String,
    pub(super) since: Timestamp,
}

/// A job that is shown.
#[derive(Debug)]
pub(super) struct JobScreen {
    pub(super) feed: Feed,
    pub(super) has_ended: bool,
    /// The first snapshot has arrived.
    pub(super) is_known: bool,
    pub(super) details: JobDetails,
    pub(super) repository: Option<RepositoryScreen>,
}

/// A repository that is shown.
#[derive(Debug)]
pub(super) struct RepositoryScreen {
    pub(super) index: u32,
    pub(super) feed: Feed,
    pub(super) git_url: Option<String>,
    pub(super) log: LogText,
    pub(super) following: Following,
    /// How many columns of the log are out of sight on the left.
    pub(super) left: usize,
}

/// How far the log is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Following {
    /// More may follow.
    Live,
    Complete,
    Failed(String),
}

/// The health of the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) is_known: bool,
    pub(super) problems: Vec<String>,
    pub(super) running: u64,
    pub(super) queued: u64,
}
