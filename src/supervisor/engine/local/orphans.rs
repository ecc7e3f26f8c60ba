//! Orphans: what is left of an attempt whose shim is dead: processes, the scratch folder, and
//! perhaps a final state that the scanner wrote and no shim has checked.
//!
//! Input: attempts whose locks nobody holds. Output: their processes and scratch folders are gone,
//! and their final states are complete.
//!
//! Invariants: a process is identified by its control group or its tracking id, never by a pid from
//! a file; when a function here returns, no process of the attempt writes any more.

use crate::{
    model::{
        Failure, FailureKind, JobId, RepoState,
        attempt::AttemptRecord,
        repository::RepositoryStatus,
        status_file::{StatusPatch, raw_object},
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
    supervisor::{RepoKey, status_files::PlannedRepository},
    sys::{self, ProcessInfo},
};
use chrono::Utc;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsFd,
    time::Duration,
};

/// How long processes may take to exit after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Ends the orphans of these repositories, thousands of them with one pass over all processes.
/// Returns the repositories that have no processes left.
pub(in crate::supervisor) fn end_all(
    folder: &JobDir,
    id: &JobId,
    indices: impl Iterator<Item = u32>,
) -> Result<BTreeSet<u32>, StoreError> {
    let mut dead = BTreeMap::new();
    for index in indices {
        // The lock is checked first: nothing of a living shim is ended. The lock of a shim on another machine may have a
        // holder that this kernel cannot name.
        let holder = lock::holder(&folder.lock(index));
        let record = attempt::read(folder, index)?;
        if let Some(record) = record.filter(|record| record.remote.is_none())
            && holder?.is_none()
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

/// Ends the processes that a dead shim left, and removes its files.
pub(in crate::supervisor) fn end(folder: &JobDir, key: &RepoKey, record: &AttemptRecord) {
    end_processes(&key.job, &BTreeMap::from([(key.index, record.attempt)]));
    remove_traces(folder, key, record.attempt);
}

/// The attempt of the shim that holds a repository's lock; `None` if the holder is not a shim of
/// this repository. The server has seen the shim of the attempt `exited` exit, so the holder cannot
/// be that shim.
pub(in crate::supervisor) fn attempt_of_shim(
    holder: &Holder,
    key: &RepoKey,
    exited: Option<&AttemptRecord>,
) -> Option<u64> {
    let arguments = sys::arguments_of(holder.pid);
    // The command line of an exiting process is empty.
    if arguments.iter().all(String::is_empty) {
        return Some(exited.map_or(1, |record| record.attempt + 1));
    }
    let [_, kind, job, index, attempt, ..] = &arguments[..] else { return None };
    let is_meant = kind == "shim" && job == key.job.as_str() && *index == key.index.to_string();
    let attempt = attempt.parse().ok().filter(|_| is_meant)?;
    exited.is_none_or(|record| record.attempt != attempt).then_some(attempt)
}

/// Ends a process that holds a repository's lock and is not a shim: a stray that a scanner left.
/// The process is identified by its tracking id. If the server has seen the shim exit (`is_seen`)
/// and an attempt was claimed before, holding the lock is enough: a stray may also take the lock
/// between two shims.
///
/// # Errors
/// If the process cannot be identified: it may belong to anyone.
pub(in crate::supervisor) fn end_stray(
    planned: &PlannedRepository<'_>,
    holder: &Holder,
    record: Option<&AttemptRecord>,
    is_seen: bool,
) -> Result<(), StoreError> {
    let PlannedRepository { folder, key, .. } = *planned;
    let pid = holder.pid;
    tracing::warn!(repository = %key, pid, "a process that is not a shim holds the lock of a repository");
    if let Some(record) = record {
        end(folder, key, record);
    }
    if is_seen && record.is_some() {
        let ended = sys::signal_process(&holder.pidfd, sys::StopSignal::Kill)
            .and_then(|()| sys::wait_readable([holder.pidfd.as_fd()], KILL_PATIENCE));
        ended.map_err(StoreError::at("end the holder of", folder.lock(key.index)))?;
    }
    let is_still_there =
        lock::holder(&folder.lock(key.index))?.is_some_and(|holder| holder.pid == pid);
    if is_still_there {
        let text = format!("process {pid}, which is not a shim, holds it; end that process");
        return Err(StoreError::at("use the lock", folder.lock(key.index))(std::io::Error::other(
            text,
        )));
    }
    Ok(())
}

/// Ends the processes of attempts, given by repository.
fn end_processes(id: &JobId, attempts: &BTreeMap<u32, u64>) {
    let ids: BTreeSet<String> = attempts
        .iter()
        .map(|(index, attempt)| ScanTask::tracking_id(id, *index, *attempt))
        .collect();
    for id in &ids {
        sys::cgroup::kill_left_behind(id);
    }
    let is_meant = |process: &ProcessInfo| {
        let marked = process.mark.as_ref().is_some_and(|mark| ids.contains(mark));
        // A process that the shim had forked but not yet executed when it was killed still looks
        // like the shim.
        marked
            || process.arguments.get(1).is_some_and(|word| word == "shim") && {
                ids.contains(&process.arguments.get(2..5).unwrap_or_default().join("/"))
            }
    };
    let ended = sys::kill_all(TRACKING_VARIABLE, KILL_PATIENCE, is_meant);
    if ended > 0 {
        tracing::warn!(job = %id, ended, "shims, which supervise single scans, have died and left processes behind; the processes are killed, and the scans are started again or end as interrupted");
    }
}

/// Removes files that are no longer needed: the scratch folder, the reserved space, and an order
/// that nobody will read and that a power cut may have truncated.
fn remove_traces(folder: &JobDir, key: &RepoKey, attempt: u64) {
    let scratch = trash::scratch(folder, &key.job, key.index, attempt);
    let reserves = trash::reserves(folder, &key.job, key.index, attempt);
    let removed = trash::remove_scratch(&scratch)
        .and(trash::remove_reserves(&reserves))
        .and(attempt::remove_order(folder, key.index));
    if let Err(error) = removed {
        tracing::warn!(repository = %key, error = chain(&error), "cannot remove all files of a dead scan");
    }
}

/// Whether scanwatch wrote or checked the final state in a status file: a custom scanner writes
/// neither attempt nor completion time.
pub(in crate::supervisor) fn was_checked(bytes: &[u8]) -> bool {
    let has = |map: &serde_json::Map<_, Value>| {
        ["attempt", "completed_at"]
            .iter()
            .all(|key| map.get(*key).is_some_and(|value| !value.is_null()))
    };
    raw_object(bytes).is_some_and(|map| has(&map))
}

/// Completes a final state that a scanner wrote and its shim did not check: validates the result
/// file, adds the members that every final state has, and fsyncs everything.
pub(in crate::supervisor) fn complete(
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
    status: &RepositoryStatus,
    bytes: &[u8],
    max_result_bytes: u64,
) -> Result<RepositoryStatus, StoreError> {
    let PlannedRepository { folder, key, name, git_url } = *planned;
    let result = folder.result(key.index);
    let limit = "[limits] max_result_bytes";
    let problem = match status.state {
        RepoState::Completed => read::problem_of_json(&result, max_result_bytes, limit),
        _ => None,
    };
    let failure = problem
        .map(|problem| Failure::new(FailureKind::Protocol, format!("The result file {problem}")));
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
