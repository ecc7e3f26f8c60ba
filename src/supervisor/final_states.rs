//! Finalizes attempts: writes the state of an attempt in place of its dead shim, and decides what
//! follows.
//!
//! Input: an attempt whose lock nobody else holds, and how it ended. Output: its status file, and
//! what follows: nothing or another attempt.
//!
//! Invariants: the status is written before the interruption count; a retry that is due takes place
//! even if its announcement cannot be written.

use super::{
    disposition::{Disposition, NextAttempt},
    shim_exit::Verdict,
    status_files::{End, PlannedRepository},
};
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        attempt::{AttemptRecord, MAX_INTERRUPTIONS},
        repository::RepositoryStatus,
        retry::Retries,
    },
    store::{StoreError, attempt, chain},
};

/// Decides what follows a finished attempt: nothing or a retry.
pub(super) fn finish_or_retry(
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
    ended: Box<RepositoryStatus>,
    retries: Retries,
) -> Disposition {
    let Some(again) = retries.after(record.retries, &ended) else {
        return Disposition::Finished(ended);
    };
    let next = NextAttempt::of_retry(record, &again);
    if let Err(error) = planned.write_waiting(next.attempt, Some(&again)) {
        // Whoever reads the failed status reaches the same decision again.
        tracing::warn!(repository = %planned.key, error = chain(&error), "cannot write the status that announces a retry; the retry follows nevertheless");
    }
    Disposition::WillRetry { failed: ended, cause: again.cause, next }
}

/// Writes the final state of an attempt whose shim could not: the server killed the shim, or the
/// disk refused the shim's write.
pub(super) fn finalize_with_verdict(
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
    Verdict { state, failure }: Verdict,
    before: Option<&[u8]>,
    retries: Retries,
) -> Result<Disposition, StoreError> {
    let PlannedRepository { folder, key, .. } = *planned;
    // The attempt may not have been claimed, or a scanner may have reverted the record.
    attempt::write(folder, key.index, record)?;
    let word = state.map_or("interrupted", RepoState::as_str);
    let begun = Some(record.started_at);
    let end = End { attempt: record.attempt, begun, word, failure: failure.as_ref() };
    let bytes = planned.write_status(&end, before)?;
    match RepositoryStatus::parse(key.index, &bytes) {
        Ok((status, _)) if state.is_some() => {
            Ok(finish_or_retry(planned, record, Box::new(status), retries))
        }
        _ => Ok(Disposition::Queued(NextAttempt::after(record, record.interruptions))),
    }
}

/// Writes the state of an attempt whose shim died without reporting a cause.
///
/// The status is written first: a crash in between loses one interruption, which allows one attempt
/// too many. In the other order the interruption would be counted twice, which allows one attempt
/// too few.
pub(super) fn finalize_dead(
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
    (before, death): (Option<&[u8]>, Option<&str>),
) -> Result<Disposition, StoreError> {
    let PlannedRepository { folder, key, .. } = *planned;
    let interruptions = record.interruptions + 1;
    let given_up = interruptions >= MAX_INTERRUPTIONS;
    let detail = match (death, given_up) {
        (None, true) => format!(
            "The processes of this scan were killed {interruptions} times; the scan is not \
             retried; check the kernel log for the out-of-memory killer"
        ),
        (None, false) => {
            "The processes of this scan were killed; the scan is queued again".to_owned()
        }
        (Some(death), true) => {
            format!("{death}; that was death {interruptions} of this scan, which is not retried")
        }
        (Some(death), false) => format!("{death}; the scan is queued again"),
    };
    let failure = Failure::new(FailureKind::Interrupted, detail);
    let word = if given_up { "failed" } else { "interrupted" };
    tracing::warn!(repository = %key, attempt = record.attempt, given_up, death, "a shim died without reporting a cause");
    let end = End {
        attempt: record.attempt,
        begun: Some(record.started_at),
        word,
        failure: Some(&failure),
    };
    let bytes = planned.write_status(&end, before)?;
    attempt::write(folder, key.index, &AttemptRecord { interruptions, ..record.clone() })?;
    if given_up && let Ok((status, _)) = RepositoryStatus::parse(key.index, &bytes) {
        return Ok(Disposition::Finished(Box::new(status)));
    }
    Ok(Disposition::Queued(NextAttempt::after(record, interruptions)))
}
