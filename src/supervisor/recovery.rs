//! Recovery: determines from a job's files and locks which shims live, which attempts died, and
//! what is to be queued.
//!
//! Input: a job's folder, and the kernel's record locks. Output: the state of each repository; dead
//! attempts are finalized on the way.
//!
//! Invariants: the lock is checked before the status is read, because a shim releases the lock only
//! after its last write; nothing is written for a repository whose shim lives; only jobs with a
//! plan of ours are changed.

use super::{
    RepoKey, Setup,
    final_states::{
        PlannedRepository, finalize_dead, finalize_with_verdict, finish_or_retry, read_status,
    },
    orphans,
    retry::{self, NextAttempt},
    shim_exit::{ProcessTree, ShimExit},
    spawn::LiveShim,
};
use crate::{
    model::{
        FailureKind, JobId, JobState, RepoState, attempt::AttemptRecord, master::Master,
        plan::Plan, repository::RepositoryStatus, retry::Retries,
    },
    store::{
        StoreError, attempt, chain,
        io_error::is_no_file_of_ours,
        layout::{JobDir, JobFile},
        lock::{self, Holder},
        read,
    },
};
use chrono::Utc;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The pause before another check of a repository that another process was changing.
const PAUSE: Duration = Duration::from_millis(5);

/// An unfinished job that was found at start, or a finished one that is reopened.
#[derive(Debug)]
pub struct RecoveredJob {
    pub id: JobId,
    pub master: Master,
    /// If the plan is incomplete, the repositories have to be listed again.
    pub plan: Plan,
    pub(super) repositories: BTreeMap<u32, Disposition>,
}

/// The state of a repository, and what it needs next.
#[derive(Debug)]
pub(super) enum Disposition {
    /// Its status file has a final state.
    Finished(Box<RepositoryStatus>),
    /// A shim is scanning it.
    Running(LiveShim),
    /// It has to be scanned, for the first time or again.
    Queued(NextAttempt),
    /// Its attempt failed with a transient cause, and a retry follows.
    WillRetry { failed: Box<RepositoryStatus>, cause: FailureKind, next: NextAttempt },
    /// It must not be contacted, and its final state is still to be written.
    Refused(String),
}

/// The jobs that were found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    pub jobs: Vec<RecoveredJob>,
    /// Jobs that could not be read; to be read again later.
    pub unread: Vec<JobId>,
}

/// Why a job could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The disk refused; a later read may succeed.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// The job's files are malformed.
    #[error("{0}")]
    Broken(String),
}

/// Finds all unfinished jobs of ours below the jobs folder, and finalizes their dead attempts.
///
/// # Errors
/// Only if the jobs folder itself cannot be listed. An error in one job is logged and leaves that
/// job unchanged.
pub fn recover(setup: &Setup) -> Result<Recovered, StoreError> {
    let left = Mutex::new(setup.jobs.jobs()?.into_iter());
    let recovered = Mutex::new(Recovered::default());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(id) = next() {
            let found = recover_one(setup, &id);
            if matches!(found, Ok(None)) {
                continue;
            }
            let mut recovered = recovered.lock().unwrap_or_else(PoisonError::into_inner);
            match found {
                Ok(job) => recovered.jobs.extend(job),
                Err(_) => recovered.unread.push(id),
            }
        }
    };
    // Jobs are independent of each other. This thread works too, in case no other can be started.
    let others = thread::available_parallelism().map_or(0, |threads| threads.get() - 1);
    thread::scope(|scope| {
        for _ in 0..others {
            let _ = thread::Builder::new().name("recovery".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut recovered = recovered.into_inner().unwrap_or_else(PoisonError::into_inner);
    recovered.jobs.sort_by(|a, b| a.id.cmp(&b.id));
    recovered.unread.sort();
    Ok(recovered)
}

/// Reads one job and finalizes its dead attempts; `None` if it is finished or not ours.
///
/// # Errors
/// If the disk refuses, which has been logged. The call may be repeated.
pub fn recover_one(setup: &Setup, id: &JobId) -> Result<Option<RecoveredJob>, StoreError> {
    let folder = setup.jobs.job(id);
    let look = || -> Result<Option<RecoveredJob>, ReadError> {
        let Some((master, plan)) = unfinished(&folder)? else { return Ok(None) };
        let repositories = look_at(setup, &folder, id, &plan, setup.retries(&master))?;
        let finished = repositories.values().all(|found| matches!(found, Disposition::Finished(_)));
        // A final job whose repositories are all finished and listed in master.json needs nothing
        // more.
        let listed = master.named() == repositories.len();
        let done = finished && listed && master.final_state().is_some();
        Ok((!done).then(|| RecoveredJob { id: id.clone(), master, plan, repositories }))
    };
    look().or_else(|error| {
        tracing::error!(%id, error = chain(&error), "cannot recover a job");
        match error {
            ReadError::Disk(error) => Err(error),
            ReadError::Broken(_) => Ok(None),
        }
    })
}

/// Reads a job of ours that may need work; the carrying out of a cancel may have been interrupted.
fn unfinished(folder: &JobDir) -> Result<Option<(Master, Plan)>, ReadError> {
    let finished =
        |state: Option<JobState>| state.is_some_and(|state| state != JobState::Cancelled);
    // For most jobs master.json alone is enough.
    let master = read::whole(&folder.file(JobFile::Master), read::MASTER_CAP);
    if master.is_ok_and(|(bytes, _)| finished(Master::final_state_in(&bytes))) {
        return Ok(None);
    }
    Ok(ours(folder)?.filter(|(master, _)| !finished(master.final_state())))
}

/// Reads a job of ours, which is one with a plan.
pub(super) fn ours(folder: &JobDir) -> Result<Option<(Master, Plan)>, ReadError> {
    let (plan, master) = (folder.plan(), folder.file(JobFile::Master));
    let bytes = match read::whole(&plan, read::MASTER_CAP) {
        Ok((bytes, _)) => bytes,
        Err(error) if is_no_file_of_ours(&error) => return Ok(None),
        Err(error) => return Err(StoreError::at("read", plan)(error).into()),
    };
    let plan: Plan = serde_json::from_slice(&bytes)
        .map_err(|error| ReadError::Broken(format!("repositories.json: {error}")))?;
    let bytes = match read::whole(&master, read::MASTER_CAP) {
        Ok((bytes, _)) => bytes,
        Err(error) if is_no_file_of_ours(&error) => {
            return Err(ReadError::Broken(format!("master.json: {error}")));
        }
        Err(error) => return Err(StoreError::at("read", master)(error).into()),
    };
    let (master, _) = Master::parse(&bytes)
        .map_err(|error| ReadError::Broken(format!("master.json: {error}")))?;
    Ok(Some((master, plan)))
}

pub(super) fn look_at(
    setup: &Setup,
    folder: &JobDir,
    id: &JobId,
    plan: &Plan,
    retries: Retries,
) -> Result<BTreeMap<u32, Disposition>, StoreError> {
    let swept = orphans::end_all(folder, id, plan.counted().map(|(index, _)| index))?;
    plan.counted()
        .map(|(index, planned)| {
            let key = RepoKey { job: id.clone(), index };
            let tree =
                if swept.contains(&index) { ProcessTree::Swept } else { ProcessTree::Unknown };
            let (name, git_url) = (&planned.repo_name, &planned.git_url);
            let found = find(setup, &key, name, git_url, &ShimExit::unknown(tree), retries)?;
            Ok(match (found, &planned.refused) {
                (Disposition::Queued(_), Some(reason)) => {
                    (index, Disposition::Refused(reason.clone()))
                }
                (found, _) => (index, found),
            })
        })
        .collect()
}

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
    let holder = lock::holder(&folder.lock(index))?;
    let written = attempt::read(folder, index)?;
    // A scanner may be able to write that file, so what this server knows takes precedence.
    let record = ended.known.clone().or_else(|| written.clone());
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
        return Ok(Some(Disposition::Running(LiveShim { holder, attempt, record, ordered })));
    }
    let Some(record) = claimed(record, ended) else {
        // No shim ever claimed the repository. A scanner cannot have written the file, but a cancel
        // can.
        return Ok(Some(match read_status(folder, index)? {
            Some((status, _)) if status.state.is_final() => Disposition::Finished(Box::new(status)),
            _ => Disposition::Queued(NextAttempt::afresh(1)),
        }));
    };
    if ended.tree == ProcessTree::Unknown {
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
        && let Some(next) = waiting(&record, status, retries)
    {
        return Ok(Some(Disposition::Queued(next)));
    }
    // The status is written in place of the dead shim, so its lock is held meanwhile: a killed
    // server may have started another shim that only now runs. If the lock's path is not a regular
    // file, no shim can hold it either.
    let held = lock::take(&folder.lock(index));
    let taken = matches!(held, Ok(None)) && !is_stuck;
    let is_claimed_anew = ended.known.is_none() && attempt::read(folder, index)? != written;
    if taken || is_claimed_anew {
        return Ok(None);
    }
    match status {
        Some((status, bytes)) if is_final => {
            let most = setup.config.limits.max_result_bytes;
            let status = orphans::complete(planned, &record, &status, &bytes, most)?;
            Ok(Some(finish_or_retry(planned, &record, Box::new(status), retries)))
        }
        status => {
            let before = status.map(|(_, bytes)| bytes);
            match ended.verdict() {
                Some(verdict) => {
                    finalize_with_verdict(planned, &record, verdict, before.as_deref(), retries)
                }
                None => finalize_dead(planned, &record, before.as_deref()),
            }
            .map(Some)
        }
    }
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
            started_at: Utc::now(),
        }),
    }
}

/// The next attempt of a repository whose status is `pending`.
fn waiting(
    record: &AttemptRecord,
    status: &RepositoryStatus,
    retries: Retries,
) -> Option<NextAttempt> {
    if status.state != RepoState::Pending {
        return None;
    }
    // It waits for the next attempt: an automatic retry, or a requested one.
    if status.attempt > Some(record.attempt) {
        return Some(retry::awaited(record, status, retries));
    }
    // `interrupted`, written for this attempt: it was stopped by an order, or finalized before.
    let is_interrupted =
        status.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Interrupted);
    (is_interrupted && status.attempt == Some(record.attempt))
        .then(|| NextAttempt::after(record, record.interruptions))
}

#[cfg(test)]
mod tests;
