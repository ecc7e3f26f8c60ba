//! What comes from the server, and what is requested from it.
//!
//! Input: answers and events of the server. Output: requests to it. Invariants: plain data.

use crate::{
    cli::Exit,
    model::{JobId, time::Timestamp},
};
use serde_json::Value;
use std::time::Duration;

/// Something that is followed. Numbers are used once, so that late messages are recognized.
pub(super) type Feed = u64;

/// The stream of all jobs.
pub(super) const ALL_JOBS: Feed = 0;

/// What the server sends.
#[derive(Debug)]
pub(super) enum Input {
    Event {
        feed: Feed,
        event: String,
        data: Value,
    },
    /// A stream is interrupted; the last data of the server is from then.
    Lost {
        feed: Feed,
        cause: String,
        since: Timestamp,
    },
    Reconnected {
        feed: Feed,
    },
    /// A stream is complete.
    Ended {
        feed: Feed,
    },
    /// The job no longer exists.
    Removed {
        feed: Feed,
    },
    /// The answer to the request for the list.
    Listed {
        path: String,
        answer: Result<Value, String>,
    },
    Health(Value),
    Session(Value),
    Repository {
        feed: Feed,
        document: Value,
    },
    Log {
        feed: Feed,
        piece: Vec<u8>,
    },
    LogEnded {
        feed: Feed,
        error: Option<String>,
    },
    /// The answer to a command.
    Answered {
        verb: Verb,
        job: JobId,
        result: Result<(), String>,
    },
}

/// A request to the server.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Request a page of jobs, after a pause in which a newer request may replace this one.
    List {
        path: String,
        pause: Duration,
    },
    /// Follow a job, instead of the one before.
    FollowJob {
        feed: Feed,
        job: JobId,
    },
    LeaveJob,
    /// Follow a log, instead of the one before, and request the state of its repository.
    FollowLog {
        feed: Feed,
        job: JobId,
        index: u32,
    },
    LeaveLog,
    Send(Verb, JobId),
    LearnSession,
    Redraw,
    Exit(Exit),
}

/// A command for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Retry,
    Cancel,
    Delete,
    Pause,
    Resume,
    Bump,
}

impl Verb {
    /// The name of the command.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Retry => "Retry",
            Self::Cancel => "Cancel",
            Self::Delete => "Delete",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Bump => "Bump",
        }
    }

    /// What happened after it.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Retry => "the failed repositories are scanned again",
            Self::Cancel => "cancelled",
            Self::Delete => "deleted",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Bump => "before the other jobs of its user",
        }
    }
}
