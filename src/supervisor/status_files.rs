//! Status files that the server writes: for a repository whose shim is dead, was never started, or
//! is to be started later.
//!
//! Input: a repository whose lock nobody else holds, and its new state. Output: its status file.
//!
//! Invariants: every write is fsynced; what the scanner wrote about itself (name, progress, its own
//! fields) is kept until the next attempt.

use super::RepoKey;
use crate::{
    model::{
        Failure, RepoState,
        repository::RepositoryStatus,
        retry::Retry,
        status_file::{StatusPatch, raw_object},
        time::Timestamp,
    },
    store::{StoreError, atomic::Durability, attempt, layout::JobDir, lock, read},
};
use chrono::Utc;
use serde_json::{Map, Value};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A repository as its plan describes it.
pub(super) struct PlannedRepository<'a> {
    pub(super) folder: &'a JobDir,
    pub(super) key: &'a RepoKey,
    pub(super) name: &'a str,
    pub(super) git_url: &'a str,
}

/// The state to write for an attempt whose shim is gone or never existed.
pub(super) struct End<'a> {
    pub(super) attempt: u64,
    /// When the attempt began, if it did.
    pub(super) begun: Option<Timestamp>,
    pub(super) word: &'a str,
    pub(super) failure: Option<&'a Failure>,
}

impl PlannedRepository<'_> {
    /// Writes a final state for a repository that has no shim.
    pub(super) fn write_final_state(
        &self,
        attempt: u64,
        state: RepoState,
        failure: &Failure,
    ) -> Result<RepositoryStatus, StoreError> {
        let Self { folder, key, .. } = *self;
        let _exclusive = exclusive();
        let before = read_status(folder, key.index)?.map(|(_, bytes)| bytes);
        let end = End { attempt, begun: None, word: state.as_str(), failure: Some(failure) };
        let bytes = self.write_status(&end, before.as_deref())?;
        RepositoryStatus::parse(key.index, &bytes).map(|(status, _)| status).map_err(|error| {
            StoreError::at("read back", folder.status(key.index))(std::io::Error::other(error))
        })
    }

    /// Adds a message to the status of a repository that waits for this attempt. Does nothing if the attempt has begun, or
    /// the repository is finished.
    pub(super) fn note(&self, attempt: u64, message: &str) -> Result<(), StoreError> {
        let Self { folder, key, name, git_url } = *self;
        let _exclusive = exclusive();
        // The file belongs to the shim that holds the lock. One that starts meanwhile is started again.
        let Some(_lock) = lock::take(&folder.lock(key.index))? else { return Ok(()) };
        let claimed = attempt::read(folder, key.index)?;
        if claimed.is_some_and(|record| record.attempt >= attempt) {
            return Ok(());
        }
        let mut value = match read_status(folder, key.index)? {
            Some((status, _)) if status.state != RepoState::Pending => return Ok(()),
            // What it states about the next attempt stays.
            Some((_, bytes)) => raw_object(&bytes).map(Value::Object),
            None => None,
        };
        let new = || {
            let patch = StatusPatch {
                index: key.index,
                name,
                git_url,
                // The attempt itself has not begun.
                attempt: attempt.saturating_sub(1),
                word: RepoState::Pending.as_str(),
                now: Utc::now(),
                started_at: None,
                failure: None,
            };
            patch.apply(None)
        };
        let value = match &mut value {
            Some(value) => {
                let revision = value["revision"].as_u64().unwrap_or_default();
                value["revision"] = revision.saturating_add(1).into();
                value
            }
            None => value.insert(new()),
        };
        value["message"] = message.into();
        folder.write_status(key.index, value, Durability::Content)
    }

    /// Writes a state on top of the status `before`, and returns the file's content.
    pub(super) fn write_status(
        &self,
        end: &End<'_>,
        before: Option<&[u8]>,
    ) -> Result<Vec<u8>, StoreError> {
        let Self { folder, key, name, git_url } = *self;
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
        .apply(before.and_then(raw_object).map(without_announcement));
        folder.write_status(key.index, &value, Durability::Flushed)?;
        Ok(value.to_string().into_bytes())
    }

    /// Resets the status: the repository waits for this attempt.
    pub(super) fn write_waiting(
        &self,
        attempt: u64,
        because: Option<&Retry>,
    ) -> Result<(), StoreError> {
        let Self { folder, key, name, git_url } = *self;
        let before = read_status(folder, key.index)?.and_then(|(_, bytes)| raw_object(&bytes));
        // Kept of the earlier attempt: the revision count, and the stderr that explains its
        // failure.
        let stays = |key: &str| key == "revision" || (key == "stderr" && because.is_some());
        let kept = before.map(|map| map.into_iter().filter(|(key, _)| stays(key)).collect());
        let patch = StatusPatch {
            index: key.index,
            name,
            git_url,
            attempt,
            word: RepoState::Pending.as_str(),
            now: Utc::now(),
            started_at: None,
            failure: because.map(|retry| &retry.failure),
        };
        let mut value = patch.apply(kept);
        if let Some(because) = because {
            value["message"] = because.message.as_str().into();
        }
        folder.write_status(key.index, &value, Durability::Flushed)
    }
}

/// A status without the announcement of an attempt that will not take place now.
fn without_announcement(mut status: Map<String, Value>) -> Map<String, Value> {
    if status.get("status").is_some_and(|status| status == RepoState::Pending.as_str()) {
        status.remove("message");
    }
    status
}

/// Held while a repository that is not started gets a message or its final state, so that no message replaces a final state.
fn exclusive() -> MutexGuard<'static, ()> {
    static EXCLUSIVE: Mutex<()> = Mutex::new(());
    EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner)
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
