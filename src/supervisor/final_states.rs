//! Final states that the server writes in place of a shim that is dead or was never started.
//!
//! Input: an attempt whose lock nobody else holds, and how it ended. Output: its status file, and
//! what follows: nothing or another attempt.
//!
//! Invariants: the status is written before the interruption count; what the scanner wrote about
//! itself (name, progress, its own fields) is kept.

use super::{
    RepoKey,
    recovery::Disposition,
    retry::{self, NextAttempt},
    shim_exit::Verdict,
};
use crate::{
    model::{
        Failure, FailureKind, RepoState,
        attempt::{AttemptRecord, MAX_INTERRUPTIONS},
        repository::{RepositoryStatus, StatusPatch, raw_object},
        retry::Retries,
        time::Timestamp,
    },
    store::{StoreError, atomic::Durability, attempt, layout::JobDir, read},
};
use chrono::Utc;

/// A repository as its plan describes it.
pub(super) struct PlannedRepository<'a> {
    pub(super) folder: &'a JobDir,
    pub(super) key: &'a RepoKey,
    pub(super) name: &'a str,
    pub(super) git_url: &'a str,
}

/// Decides what follows a finished attempt: nothing or a retry.
pub(super) fn finish_or_retry(
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
    ended: Box<RepositoryStatus>,
    retries: Retries,
) -> Disposition {
    let PlannedRepository { folder, key, name, git_url } = *planned;
    match retries.after(record.retries, &ended) {
        Some(again) => retry::begin(folder, key, (name, git_url), record, ended, &again),
        None => Disposition::Finished(ended),
    }
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
    let bytes = write_status(planned, &end, before)?;
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
    before: Option<&[u8]>,
) -> Result<Disposition, StoreError> {
    let PlannedRepository { folder, key, .. } = *planned;
    let interruptions = record.interruptions + 1;
    let given_up = interruptions >= MAX_INTERRUPTIONS;
    let detail = if given_up {
        format!(
            "The processes of this scan were killed {interruptions} times; the scan is not \
             retried; check the kernel log for the out-of-memory killer"
        )
    } else {
        "The processes of this scan were killed; the scan is queued again".to_owned()
    };
    let failure = Failure::new(FailureKind::Interrupted, detail);
    let word = if given_up { "failed" } else { "interrupted" };
    tracing::warn!(repository = %key, attempt = record.attempt, given_up, "a shim died without reporting a cause");
    let end = End {
        attempt: record.attempt,
        begun: Some(record.started_at),
        word,
        failure: Some(&failure),
    };
    let bytes = write_status(planned, &end, before)?;
    attempt::write(folder, key.index, &AttemptRecord { interruptions, ..record.clone() })?;
    if given_up && let Ok((status, _)) = RepositoryStatus::parse(key.index, &bytes) {
        return Ok(Disposition::Finished(Box::new(status)));
    }
    Ok(Disposition::Queued(NextAttempt::after(record, interruptions)))
}

/// Writes a final state for a repository that has no shim.
pub(super) fn write_final_state(
    folder: &JobDir,
    key: &RepoKey,
    name: &str,
    git_url: &str,
    attempt: u64,
    state: RepoState,
    failure: &Failure,
) -> Result<RepositoryStatus, StoreError> {
    let before = read_status(folder, key.index)?.map(|(_, bytes)| bytes);
    let end = End { attempt, begun: None, word: state.as_str(), failure: Some(failure) };
    let bytes =
        write_status(&PlannedRepository { folder, key, name, git_url }, &end, before.as_deref())?;
    RepositoryStatus::parse(key.index, &bytes).map(|(status, _)| status).map_err(|error| {
        StoreError::at("read back", folder.status(key.index))(std::io::Error::other(error))
    })
}

/// The state to write for an attempt whose shim is gone or never existed.
pub(super) struct End<'a> {
    pub(super) attempt: u64,
    /// When the attempt began, if it did.
    pub(super) begun: Option<Timestamp>,
    pub(super) word: &'a str,
    pub(super) failure: Option<&'a Failure>,
}

pub(super) fn write_status(
    planned: &PlannedRepository<'_>,
    end: &End<'_>,
    before: Option<&[u8]>,
) -> Result<Vec<u8>, StoreError> {
    let PlannedRepository { folder, key, name, git_url } = *planned;
    let value = StatusPatch {
        index: key.index,
        name,
        git_url,
        attempt: end.attempt,
        word: end.word,
        now: Utc::now(),
        started_at: end.begun,
        failure: end.failure,
    }
    .apply(before.and_then(raw_object).map(retry::without_announcement));
    folder.write_status(key.index, &value, Durability::Flushed)?;
    Ok(value.to_string().into_bytes())
}

/// A repository's status; `None` if its file is missing or malformed.
///
/// # Errors
/// If the file cannot be read because resources are exhausted: overlooking a final state would cost
/// a second scan.
pub(super) fn read_status(
    folder: &JobDir,
    index: u32,
) -> Result<Option<(RepositoryStatus, Vec<u8>)>, StoreError> {
    let bytes = read::if_readable(&folder.status(index), read::STATUS_CAP)?;
    Ok(bytes.and_then(|bytes| {
        let (status, _) = RepositoryStatus::parse(index, &bytes).ok()?;
        Some((status, bytes))
    }))
}
