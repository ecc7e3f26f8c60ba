//! The outcome of a repository: determines its state from its files and its lock, and finalizes an
//! attempt whose shim is dead.
//!
//! Input: a repository's files, the kernel's record locks, and how its shim exited, if this server
//! saw that. Output: the repository's state, and what it needs next.
//!
//! Invariants: the lock is checked before the status is read, because a shim releases the lock only
//! after its last write; nothing is written for a repository whose shim lives; an outcome is the
//! same however often it is determined.

use super::{
    RepoKey, Setup,
    disposition::{Disposition, LiveShim, Living, NextAttempt},
    engine::local::orphans,
    final_states::{finalize_dead, finalize_with_verdict, finish_or_retry},
    shim_exit::{ProcessTree, ShimExit},
    status_files::{PlannedRepository, read_status},
};
use crate::{
    model::{RepoState, attempt::AttemptRecord, repository::RepositoryStatus, retry::Retries},
    store::{
        StoreError, attempt,
        elements::Elements,
        lock::{self, Holder},
    },
};
use chrono::Utc;
use std::{thread, time::Duration};

/// The pause before another check of a repository that another process was changing.
const PAUSE: Duration = Duration::from_millis(5);

/// Determines the state of a repository, and finalizes an attempt whose shim is dead.
///
/// `retries` are the job's automatic retries: none if it is cancelled or finished.
pub(super) fn find(
    setup: &Setup,
    key: &RepoKey,
    name: &str,
    git_url: &str,
    ended: &ShimExit,
    retries: Retries,
) -> Result<Disposition, StoreError> {
    let folder = &setup.jobs.job(&key.job);
    let planned = PlannedRepository { folder, key, name, git_url };
    let mut ended = ended.clone();
    loop {
        if let Some(found) = look_once(setup, &planned, &ended, retries)? {
            return Ok(found);
        }
        // Another shim has started, or another thread is finalizing the same attempt.
        thread::sleep(PAUSE);
        if ended.tree == ProcessTree::Swept {
            ended.tree = ProcessTree::Unknown;
        }
    }
}

/// One iteration of [`find`]; `None` if another process was changing the repository.
fn look_once(
    setup: &Setup,
    planned: &PlannedRepository<'_>,
    ended: &ShimExit,
    retries: Retries,
) -> Result<Option<Disposition>, StoreError> {
    let PlannedRepository { folder, key, .. } = *planned;
    let index = key.index;
    let mut holder = lock::holder(&folder.lock(index));
    let written = attempt::read(folder, index)?;
    // A scanner may be able to write that file, so what this server knows takes precedence.
    let record = ended.known.clone().or_else(|| written.clone());
    // A lock says nothing about a shim in Slurm: it may be on another machine, or the server may have given it up.
    let is_in_slurm = record.as_ref().is_some_and(|record| record.element().is_some());
    if is_in_slurm {
        if let Some(record) = record.as_ref().filter(|_| !ended.is_seen)
            && may_run(setup, planned, record)?
        {
            return Ok(Some(Disposition::Running(Living::Remote(record.clone()))));
        }
        holder = Ok(None);
    }
    let holder = holder?;
    // A killed shim that hangs in a system call will not run again.
    let hangs = |holder: &Holder| ended.killed.is_some_and(|killed| killed.pid == holder.pid);
    let is_stuck = holder.as_ref().is_some_and(hangs);
    if let Some(holder) = holder.filter(|holder| !hangs(holder)) {
        let Some(attempt) = orphans::attempt_of_shim(&holder, key, ended.known.as_ref()) else {
            orphans::end_stray(planned, &holder, record.as_ref(), ended.is_seen)?;
            return Ok(None);
        };
        let order = attempt::read_order(folder, index).filter(|order| order.attempt == attempt);
        let record = record.filter(|record| record.attempt == attempt);
        let ordered = order.map(|order| order.reason);
        let living = LiveShim { holder, attempt, record, ordered };
        return Ok(Some(Disposition::Running(Living::Shim(living))));
    }
    let Some(record) = claimed(record, ended) else {
        // No shim ever claimed the repository. A scanner cannot have written the file, but a cancel
        // can.
        return Ok(Some(match read_status(folder, index)? {
            Some((status, _)) if status.state.is_final() => Disposition::Finished(Box::new(status)),
            _ => Disposition::Queued(NextAttempt::afresh(1)),
        }));
    };
    // The processes of a remote attempt may run on this machine, too: below an agent.
    let is_remote = record.remote.is_some();
    if ended.tree == ProcessTree::Unknown && !is_remote {
        orphans::end(folder, key, &record);
    }
    let status = read_status(folder, index)?;
    let is_final = status.as_ref().is_some_and(|(status, _)| {
        // The final state of an earlier attempt does not count for this one.
        status.state.is_final() && status.attempt.is_none_or(|attempt| attempt >= record.attempt)
    });
    if let Some((status, bytes)) = &status
        && is_final
        && (ended.tree == ProcessTree::Ended || orphans::was_checked(bytes))
    {
        let status = Box::new(status.clone());
        return Ok(Some(finish_or_retry(planned, &record, status, retries)));
    }
    if let Some((status, _)) = &status
        && ended.pending_is_trusted
        && let Some(next) = NextAttempt::awaited(&record, status, retries)
    {
        return Ok(Some(Disposition::Queued(next)));
    }
    if is_remote && !ended.is_seen {
        return Ok(Some(Disposition::Running(Living::Remote(record))));
    }
    // The status is written in place of the dead shim, so its lock is held meanwhile: a killed
    // server may have started another shim that only now runs. If the lock's path is not a regular
    // file, no shim can hold it either.
    let held = lock::take(&folder.lock(index));
    let taken = matches!(held, Ok(None)) && !is_stuck && !is_in_slurm;
    let is_claimed_anew = ended.known.is_none() && attempt::read(folder, index)? != written;
    if taken || is_claimed_anew {
        return Ok(None);
    }
    match status {
        Some((status, bytes)) if is_final => {
            let most = setup.config.get().limits.max_result_bytes;
            let status = orphans::complete(planned, &record, &status, &bytes, most)?;
            Ok(Some(finish_or_retry(planned, &record, Box::new(status), retries)))
        }
        status => {
            let before = status.map(|(_, bytes)| bytes);
            let known = (before.as_deref(), ended.death.as_deref());
            if let Some(verdict) = ended.verdict() {
                finalize_with_verdict(planned, &record, verdict, known.0, retries)
            } else {
                finalize_dead(planned, &record, known)
            }
            .map(Some)
        }
    }
}

/// Whether an attempt that was given to Slurm may still run, or has ended without that being carried out here.
fn may_run(
    setup: &Setup,
    planned: &PlannedRepository<'_>,
    record: &AttemptRecord,
) -> Result<bool, StoreError> {
    let Some(name) = record.element() else { return Ok(false) };
    let elements = Elements::new(&setup.jobs);
    if !elements.is_under_way(name) {
        return Ok(false);
    }
    let Some(mark) = elements.end_of(name)? else { return Ok(true) };
    let is_carried_out = |status: &RepositoryStatus, bytes: &[u8]| {
        let is_queued = status.state == RepoState::Pending && mark.cause.is_some();
        status.state.is_final() && orphans::was_checked(bytes) || is_queued
    };
    let status = read_status(planned.folder, planned.key.index)?;
    Ok(!status.is_some_and(|(status, bytes)| {
        status.attempt == Some(record.attempt) && is_carried_out(&status, &bytes)
    }))
}

/// The record of the last attempt that was claimed. An attempt whose shim the server killed counts
/// as claimed: the shim's attempt is the one that ends.
fn claimed(record: Option<AttemptRecord>, ended: &ShimExit) -> Option<AttemptRecord> {
    let Some(killed) = ended.killed else { return record };
    match record {
        Some(record) if record.attempt >= killed.attempt => Some(record),
        // An adopted shim that was killed before it wrote its record.
        earlier => Some(AttemptRecord {
            schema: 1,
            attempt: killed.attempt,
            interruptions: earlier.as_ref().map_or(0, |record| record.interruptions),
            retries: earlier.as_ref().map_or(0, |record| record.retries),
            alone: earlier.as_ref().is_some_and(|record| record.alone),
            started_at: Utc::now(),
            remote: None,
        }),
    }
}

#[cfg(test)]
mod tests;
