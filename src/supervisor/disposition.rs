//! The state of a repository, and what it needs next: plain data and the rules of the next attempt.
//!
//! Input: the record of the last attempt, and the status file. Output: whether another attempt
//! follows, which one, and after what pause.
//!
//! Invariants: the attempt's record holds the number of its retry; the status file of a repository
//! that waits for an automatic retry names the failure before it, that of one that waits for a
//! requested retry does not. So all state is on the disk, and a crash between any two writes
//! neither adds nor loses a retry.

use crate::{
    model::{
        FailureKind, RepoState,
        attempt::{AttemptRecord, OrderReason},
        repository::RepositoryStatus,
        retry::{Retries, Retry},
    },
    store::lock::Holder,
};
use chrono::Utc;
use std::time::Duration;

/// The state of a repository, and what it needs next.
#[derive(Debug)]
pub(super) enum Disposition {
    /// Its status file has a final state.
    Finished(Box<RepositoryStatus>),
    /// An attempt that another server started is not known to have ended.
    Running(Living),
    /// It has to be scanned, for the first time or again.
    Queued(NextAttempt),
    /// Its attempt failed with a transient cause, and a retry follows.
    WillRetry { failed: Box<RepositoryStatus>, cause: FailureKind, next: NextAttempt },
    /// It must not be contacted, and its final state is still to be written.
    Refused(String),
}

/// An attempt that another server started.
#[derive(Debug)]
pub(super) enum Living {
    /// Its shim runs on this machine.
    Shim(LiveShim),
    /// It was given to an agent on another machine.
    Remote(AttemptRecord),
}

impl Living {
    /// The record of the attempt, if it has been claimed.
    pub(super) fn record(&self) -> Option<&AttemptRecord> {
        match self {
            Self::Shim(shim) => shim.record.as_ref(),
            Self::Remote(record) => Some(record),
        }
    }
}

/// A running shim of another server.
#[derive(Debug)]
pub(super) struct LiveShim {
    pub(super) holder: Holder,
    pub(super) attempt: u64,
    /// The record of the attempt that it has claimed, if any.
    pub(super) record: Option<AttemptRecord>,
    /// The order that the other server gave it.
    pub(super) ordered: Option<OrderReason>,
}

/// The next attempt of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextAttempt {
    pub(super) attempt: u64,
    /// How many shims of this repository have died without reporting a cause.
    pub(super) interruptions: u64,
    /// The number of this attempt among the requested retries; 0 for the first try.
    pub(super) retries: u64,
    /// The remaining pause before it.
    pub(super) pause: Duration,
    /// Nothing else is scanned meanwhile, because the attempt before ran out of memory.
    pub(super) alone: bool,
}

impl NextAttempt {
    /// A first attempt or a requested one: all counts start at zero.
    pub(super) fn afresh(attempt: u64) -> Self {
        Self { attempt, interruptions: 0, retries: 0, pause: Duration::ZERO, alone: false }
    }

    /// An attempt that begins as soon as possible, after one that was interrupted, and in the same way.
    pub(super) fn after(record: &AttemptRecord, interruptions: u64) -> Self {
        let AttemptRecord { attempt, retries, alone, .. } = *record;
        Self { attempt: attempt + 1, interruptions, retries, pause: Duration::ZERO, alone }
    }

    /// The automatic retry that follows a failed attempt.
    pub(super) fn of_retry(record: &AttemptRecord, again: &Retry) -> Self {
        Self {
            attempt: record.attempt + 1,
            interruptions: record.interruptions,
            retries: again.number,
            pause: again.pause,
            alone: again.is_alone(),
        }
    }

    /// The next attempt of a repository whose status is `pending`; `None` if the status does not
    /// show that the last attempt has ended.
    pub(super) fn awaited(
        record: &AttemptRecord,
        status: &RepositoryStatus,
        retries: Retries,
    ) -> Option<Self> {
        if status.state != RepoState::Pending {
            return None;
        }
        // It waits for the next attempt: an automatic retry, or a requested one.
        if status.attempt > Some(record.attempt) {
            return Some(Self::announced(record, status, retries));
        }
        // `interrupted`, written for this attempt: it was stopped by an order, or finalized before.
        let is_interrupted =
            status.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Interrupted);
        (is_interrupted && status.attempt == Some(record.attempt))
            .then(|| Self::after(record, record.interruptions))
    }

    /// The next attempt of a repository whose status names the attempt after the last one that
    /// began.
    fn announced(record: &AttemptRecord, status: &RepositoryStatus, retries: Retries) -> Self {
        let attempt = record.attempt + 1;
        let Some(failure) = &status.failure else { return Self::afresh(attempt) };
        let number = record.retries + 1;
        let whole = retries.pause_after(number, failure);
        // A time in the future means that the clock has been set back since.
        let waited = status.last_update.and_then(|since| (Utc::now() - since).to_std().ok());
        let pause = whole.saturating_sub(waited.unwrap_or_default());
        let alone = failure.kind == FailureKind::OutOfMemory;
        Self { attempt, interruptions: record.interruptions, retries: number, pause, alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn awaited_after(since: Duration, failure: &Value) -> NextAttempt {
        let record = AttemptRecord {
            schema: 1,
            attempt: 4,
            interruptions: 1,
            retries: 2,
            alone: false,
            started_at: Utc::now(),
            remote: None,
        };
        let at = Utc::now() - since;
        let file = serde_json::json!({
            "status": "pending", "attempt": 5, "last_update": at.to_rfc3339(), "failure": failure,
        });
        let (status, _) = RepositoryStatus::parse(0, file.to_string().as_bytes()).unwrap();
        NextAttempt::awaited(&record, &status, Retries::new(5, Duration::from_secs(10))).unwrap()
    }

    #[test]
    fn what_is_waited_for_follows_from_the_disk() {
        let failure = serde_json::json!({ "kind": "exit", "detail": "" });
        let next = awaited_after(Duration::from_secs(25), &failure);
        assert_eq!((next.attempt, next.retries, next.interruptions), (5, 3, 1));
        // The third pause is 40 seconds.
        assert!((14..=15).contains(&next.pause.as_secs()), "{next:?}");
        assert_eq!(awaited_after(Duration::from_hours(1), &failure).pause, Duration::ZERO);
        assert_eq!(awaited_after(Duration::from_secs(25), &Value::Null), NextAttempt::afresh(5));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_pause_longer() {
        let record = AttemptRecord {
            schema: 1,
            attempt: 1,
            interruptions: 0,
            retries: 0,
            alone: false,
            started_at: Utc::now(),
            remote: None,
        };
        let ahead = Utc::now() + chrono::TimeDelta::days(2);
        let file = serde_json::json!({
            "status": "pending", "attempt": 2, "last_update": ahead.to_rfc3339(),
            "failure": { "kind": "exit", "detail": "" },
        });
        let (status, _) = RepositoryStatus::parse(0, file.to_string().as_bytes()).unwrap();
        let next = NextAttempt::awaited(&record, &status, Retries::new(5, Duration::from_secs(10)))
            .unwrap();
        assert_eq!(next.pause, Duration::from_secs(10));
    }
}
