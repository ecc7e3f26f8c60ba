//! Final states that the server writes, in the place of a shim that is dead or was never started.
//!
//! Input: an attempt whose lock nobody else holds, and what is known of its end. Output: its status
//! file, and what follows: nothing, or another attempt.
//!
//! Invariants: the status comes before the count of deaths; what a scanner has written of itself (name,
//! progress, its own fields) stays.

use super::{
    RepoKey,
    ended::Verdict,
    recovery::Found,
    retry::{self, Next},
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

/// A repository, as its plan has it.
pub(super) struct Planned<'a> {
    pub(super) folder: &'a JobDir,
    pub(super) key: &'a RepoKey,
    pub(super) name: &'a str,
    pub(super) git_url: &'a str,
}

/// What follows an end: nothing, or another try.
pub(super) fn over_or_again(
    planned: &Planned<'_>,
    record: &AttemptRecord,
    ended: Box<RepositoryStatus>,
    retries: Retries,
) -> Found {
    let Planned { folder, key, name, git_url } = *planned;
    match retries.after(record.retries, &ended) {
        Some(again) => retry::begin(folder, key, (name, git_url), record, ended, &again),
        None => Found::Over(ended),
    }
}

/// Writes the final state of an attempt whose shim could not: it was killed for what it did not do,
/// or the disk refused.
pub(super) fn settle_named(
    planned: &Planned<'_>,
    record: &AttemptRecord,
    Verdict { state, failure }: Verdict,
    before: Option<&[u8]>,
    retries: Retries,
) -> Result<Found, StoreError> {
    let Planned { folder, key, .. } = *planned;
    // It may not have come so far, or it may have been taken back.
    attempt::write(folder, key.index, record)?;
    let word = state.map_or("interrupted", RepoState::as_str);
    let begun = Some(record.started_at);
    let end = End { attempt: record.attempt, begun, word, failure: failure.as_ref() };
    let bytes = write_status(planned, &end, before)?;
    match RepositoryStatus::parse(key.index, &bytes) {
        Ok((status, _)) if state.is_some() => {
            Ok(over_or_again(planned, record, Box::new(status), retries))
        }
        _ => Ok(Found::Queued(Next::after(record, record.interruptions))),
    }
}

/// Writes the end of an attempt whose shim died without a word.
///
/// The status comes first: a crash in between leaves a death that is not counted, which is one try
/// more. The other way round it would be counted twice, which is one too few.
pub(super) fn settle_dead(
    planned: &Planned<'_>,
    record: &AttemptRecord,
    before: Option<&[u8]>,
) -> Result<Found, StoreError> {
    let Planned { folder, key, .. } = *planned;
    let interruptions = record.interruptions + 1;
    let given_up = interruptions >= MAX_INTERRUPTIONS;
    let detail = if given_up {
        format!(
            "The processes of this scan were killed {interruptions} times; it is not tried again"
        )
    } else {
        "The processes of this scan were killed; it is queued again".to_owned()
    };
    let failure = Failure::new(FailureKind::Interrupted, detail);
    let word = if given_up { "failed" } else { "interrupted" };
    tracing::warn!(repository = %key, attempt = record.attempt, given_up, "a shim died without a word");
    let end = End {
        attempt: record.attempt,
        begun: Some(record.started_at),
        word,
        failure: Some(&failure),
    };
    let bytes = write_status(planned, &end, before)?;
    attempt::write(folder, key.index, &AttemptRecord { interruptions, ..record.clone() })?;
    if given_up && let Ok((status, _)) = RepositoryStatus::parse(key.index, &bytes) {
        return Ok(Found::Over(Box::new(status)));
    }
    Ok(Found::Queued(Next::after(record, interruptions)))
}

/// Writes a final state for a repository that has no shim.
pub(super) fn write_end(
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
    let bytes = write_status(&Planned { folder, key, name, git_url }, &end, before.as_deref())?;
    RepositoryStatus::parse(key.index, &bytes).map(|(status, _)| status).map_err(|error| {
        StoreError::at("read back", folder.status(key.index))(std::io::Error::other(error))
    })
}

/// What is written of an attempt that has no shim any more, or never had one.
pub(super) struct End<'a> {
    pub(super) attempt: u64,
    /// When it began, if it did.
    pub(super) begun: Option<Timestamp>,
    pub(super) word: &'a str,
    pub(super) failure: Option<&'a Failure>,
}

pub(super) fn write_status(
    planned: &Planned<'_>,
    end: &End<'_>,
    before: Option<&[u8]>,
) -> Result<Vec<u8>, StoreError> {
    let Planned { folder, key, name, git_url } = *planned;
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

/// A repository's status, if it has one that makes sense.
///
/// # Errors
/// When the file cannot be read because resources are exhausted: a final state that is overlooked
/// would cost a second scan.
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
