//! What is left of an attempt whose shim is dead: its processes, its scratch folder, and perhaps an
//! end that its scanner wrote and that nobody has looked at.
//!
//! Input: attempts of which the kernel says that nobody holds their locks. Output:
//! no process and no scratch folder of them, and ends that are as complete as any other.
//!
//! Invariants: a process is ended by its control group or by its mark, never by a number in
//! a file; when this returns, nobody of the attempt writes any more.

use super::{RepoKey, finals::Planned};
use crate::{
    model::{
        Failure, FailureKind, JobId, RepoState,
        attempt::AttemptRecord,
        repository::{RepositoryStatus, StatusPatch, raw_object},
        task::{ScanTask, TRACKING_VARIABLE},
    },
    store::{
        StoreError,
        atomic::{self, Durability},
        attempt, chain,
        layout::JobDir,
        lock::{self, Holder},
        read, trash,
    },
    sys::{self, Started},
};
use chrono::Utc;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    time::Duration,
};

/// How long processes that got SIGKILL may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Ends what dead shims of these repositories left: thousands of them by one look at all processes.
/// Says of which repositories nothing is left.
pub(super) fn end_all(
    folder: &JobDir,
    id: &JobId,
    indices: impl Iterator<Item = u32>,
) -> Result<BTreeSet<u32>, StoreError> {
    let mut dead = BTreeMap::new();
    for index in indices {
        // The lock is asked first: of a shim that lives nothing is ended.
        if lock::holder(&folder.lock(index))?.is_none()
            && let Some(record) = attempt::read(folder, index)?
        {
            dead.insert(index, record.attempt);
        }
    }
    if !dead.is_empty() {
        end_processes(id, &dead);
    }
    for (index, attempt) in &dead {
        remove_traces(folder, &RepoKey { job: id.clone(), index: *index }, *attempt);
    }
    Ok(dead.into_keys().collect())
}

/// Ends what a dead shim left, and removes its traces.
pub(super) fn end(folder: &JobDir, key: &RepoKey, record: &AttemptRecord) {
    end_processes(&key.job, &BTreeMap::from([(key.index, record.attempt)]));
    remove_traces(folder, key, record.attempt);
}

/// The attempt of the shim that holds a repository's lock; `None` if the holder is no shim of it. Of
/// the attempt that is `over` the server has seen the shim end, so the holder is none.
pub(super) fn attempt_of_shim(
    holder: &Holder,
    key: &RepoKey,
    over: Option<&AttemptRecord>,
) -> Option<u64> {
    let words = sys::words_of(holder.pid);
    // Nothing can be read of one that is ending.
    if words.iter().all(String::is_empty) {
        return Some(over.map_or(1, |it| it.attempt + 1));
    }
    let [_, kind, job, index, attempt, ..] = &words[..] else { return None };
    let is_meant = kind == "shim" && job == key.job.as_str() && *index == key.index.to_string();
    let attempt = attempt.parse().ok().filter(|_| is_meant)?;
    over.is_none_or(|it| it.attempt != attempt).then_some(attempt)
}

/// Ends a process that holds a repository's lock and is no shim: one that its scanner has left. It is
/// known by its mark; where the server has seen the shim end (`is_seen`) and an attempt has been claimed
/// before, by the lock alone: a stray may also take it between two shims.
///
/// # Errors
/// If nothing is known of it: it may be anybody's.
pub(super) fn end_stray(
    planned: &Planned<'_>,
    holder: &Holder,
    record: Option<&AttemptRecord>,
    is_seen: bool,
) -> Result<(), StoreError> {
    let Planned { folder, key, .. } = *planned;
    let pid = holder.pid;
    tracing::warn!(repository = %key, pid, "a process that is no shim holds the lock of a repository");
    if let Some(record) = record {
        end(folder, key, record);
    }
    if is_seen && record.is_some() {
        let ended = sys::end_process(&holder.pidfd, sys::Ending::Force)
            .and_then(|()| sys::wait_readable([holder.pidfd.as_fd()], KILL_PATIENCE));
        ended.map_err(StoreError::at("end the holder of", folder.lock(key.index)))?;
    }
    let is_still_there = lock::holder(&folder.lock(key.index))?.is_some_and(|it| it.pid == pid);
    if is_still_there {
        let text = format!("process {pid}, which is no shim, holds it; end that process");
        return Err(StoreError::at("use the lock", folder.lock(key.index))(std::io::Error::other(
            text,
        )));
    }
    Ok(())
}

/// Ends the processes of attempts, by repository.
fn end_processes(id: &JobId, attempts: &BTreeMap<u32, u64>) {
    let ids: BTreeSet<String> = attempts
        .iter()
        .map(|(index, attempt)| ScanTask::tracking_id(id, *index, *attempt))
        .collect();
    for id in &ids {
        sys::cgroup::end_left_behind(id);
    }
    let is_meant = |it: &Started| {
        let marked = it.mark.as_ref().is_some_and(|mark| ids.contains(mark));
        // What a shim was about to start when it was killed still looks like the shim.
        marked
            || it.words.get(1).is_some_and(|word| word == "shim") && {
                ids.contains(&it.words.get(2..5).unwrap_or_default().join("/"))
            }
    };
    let ended = sys::end_all(TRACKING_VARIABLE, KILL_PATIENCE, is_meant);
    if ended > 0 {
        tracing::warn!(%id, ended, "ended processes that dead shims left");
    }
}

/// Removes what is of no use any more: the scratch folder, the space set aside, and an order that nobody will read, and
/// that a power cut may have torn.
fn remove_traces(folder: &JobDir, key: &RepoKey, attempt: u64) {
    let scratch = trash::scratch(folder, &key.job, key.index, attempt);
    let reserves = trash::reserves(folder, &key.job, key.index, attempt);
    let removed = trash::remove_scratch(&scratch)
        .and(trash::remove_reserves(&reserves))
        .and(attempt::remove_order(folder, key.index));
    if let Err(error) = removed {
        tracing::warn!(repository = %key, error = chain(&error), "not all of a dead scan is removed");
    }
}

/// Whether the end in a status file was written, or looked at, by scanwatch: a scanner that is no
/// part of it names neither attempt nor time.
pub(super) fn was_seen_to(bytes: &[u8]) -> bool {
    let has = |map: &serde_json::Map<_, Value>| {
        ["attempt", "completed_at"].iter().all(|key| map.get(*key).is_some_and(|it| !it.is_null()))
    };
    raw_object(bytes).is_some_and(|map| has(&map))
}

/// Takes in the end that a scanner wrote and that its shim did not live to see: its result is
/// judged, what every end has is added, and all of it is flushed.
pub(super) fn complete(
    planned: &Planned<'_>,
    record: &AttemptRecord,
    status: &RepositoryStatus,
    bytes: &[u8],
    max_result_bytes: u64,
) -> Result<RepositoryStatus, StoreError> {
    let Planned { folder, key, name, git_url } = *planned;
    let result = folder.result(key.index);
    let limit = "[limits] max_result_bytes";
    let problem = match status.state {
        RepoState::Completed => read::problem_of_json(&result, max_result_bytes, limit),
        _ => None,
    };
    let failure =
        problem.map(|it| Failure::new(FailureKind::Protocol, format!("The result file {it}")));
    let state = if failure.is_some() { RepoState::Failed } else { status.state };
    if result.is_file() {
        atomic::flush(&result)?;
    }
    let value = StatusPatch {
        index: key.index,
        name,
        git_url,
        attempt: record.attempt,
        word: state.as_str(),
        now: Utc::now(),
        started_at: Some(record.started_at),
        failure: failure.as_ref(),
    }
    .apply(raw_object(bytes));
    folder.write_status(key.index, &value, Durability::Flushed)?;
    let read_back = RepositoryStatus::parse(key.index, value.to_string().as_bytes());
    read_back.map(|(status, _)| status).map_err(|error| {
        StoreError::at("read back", folder.status(key.index))(std::io::Error::other(error))
    })
}
