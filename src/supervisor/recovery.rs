//! What a dead server or a dead shim left: which shims live, which attempts died without a word,
//! what is to be queued.
//!
//! Input: a job's folder, and the kernel's word on who holds its locks. Output:
//! where each repository stands; dead attempts are settled on the way.
//!
//! Invariants: the lock is asked before the status is read, for a shim lets go of the
//! lock only after its last write; nothing is written for a repository whose shim lives; and
//! only jobs that carry our plan are touched.

use super::{
    RepoKey, Setup,
    ended::{Ended, Tree},
    finals::{Planned, over_or_again, read_status, settle_dead, settle_named},
    orphans,
    retry::{self, Next},
    spawn::Living,
};
use crate::{
    model::{
        FailureKind, JobId, JobState, RepoState, attempt::AttemptRecord, master::Master,
        plan::Plan, repository::RepositoryStatus, retry::Retries,
    },
    store::{
        StoreError, attempt, chain,
        layout::{JobDir, JobFile},
        lock::{self, Holder},
        read::{self, is_no_file_of_ours},
    },
};
use chrono::Utc;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// The pause before a repository is looked at again that somebody else was at.
const PAUSE: Duration = Duration::from_millis(5);

/// An unfinished job that was found at start, or a finished one that is to go on.
#[derive(Debug)]
pub struct RecoveredJob {
    pub id: JobId,
    pub master: Master,
    /// Where it is not complete, the repositories have to be listed again.
    pub plan: Plan,
    pub(super) repositories: BTreeMap<u32, Found>,
}

/// Where a repository stands.
#[derive(Debug)]
pub(super) enum Found {
    /// Its status file says the end.
    Over(Box<RepositoryStatus>),
    /// A shim is at it.
    Running(Living),
    /// It is to be scanned: for the first time, or again.
    Queued(Next),
    /// Its attempt has just been found to have failed, for a cause that may pass.
    TriedAgain { failed: Box<RepositoryStatus>, cause: FailureKind, next: Next },
    /// It must not be contacted, and that is still to be written.
    Refused(String),
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    pub jobs: Vec<RecoveredJob>,
    /// Of these nothing could be told: to be asked again.
    pub unread: Vec<JobId>,
}

/// Why nothing is known of a job.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// It may be told at another time.
    #[error(transparent)]
    Disk(#[from] StoreError),
    /// What it has in the place of its files makes no sense.
    #[error("{0}")]
    Broken(String),
}

/// Finds all unfinished jobs of ours below the jobs folder, and settles the dead.
///
/// # Errors
/// Only when the jobs folder itself cannot be listed; what is wrong with one job is logged and
/// leaves that job as it is.
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
    // Jobs have nothing to do with each other. This thread works too, for a machine without others.
    let others = thread::available_parallelism().map_or(0, |it| it.get() - 1);
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

/// Finds one job, if it is unfinished and ours, and settles what is dead of it.
///
/// # Errors
/// What the disk says; it has been logged. The job may be asked for again.
pub fn recover_one(setup: &Setup, id: &JobId) -> Result<Option<RecoveredJob>, StoreError> {
    let folder = setup.jobs.job(id);
    let look = || -> Result<Option<RecoveredJob>, Unread> {
        let Some((master, plan)) = unfinished(&folder)? else { return Ok(None) };
        let repositories = look_at(setup, &folder, id, &plan, setup.retries(&master))?;
        let over = repositories.values().all(|it| matches!(it, Found::Over(_)));
        // A final job whose repositories are all over, and named, needs nothing more.
        let told = master.named() == repositories.len();
        let done = over && told && master.final_state().is_some();
        Ok((!done).then(|| RecoveredJob { id: id.clone(), master, plan, repositories }))
    };
    look().or_else(|error| {
        tracing::error!(%id, error = chain(&error), "cannot recover a job");
        match error {
            Unread::Disk(error) => Err(error),
            Unread::Broken(_) => Ok(None),
        }
    })
}

/// Reads a job of ours that may need work; a cancelled one may have been cut short.
fn unfinished(folder: &JobDir) -> Result<Option<(Master, Plan)>, Unread> {
    let settled = |state: Option<JobState>| state.is_some_and(|it| it != JobState::Cancelled);
    // Of nearly all jobs the plan need not be read.
    let master = read::whole(&folder.file(JobFile::Master), read::MASTER_CAP);
    if master.is_ok_and(|(bytes, _)| settled(Master::final_state_in(&bytes))) {
        return Ok(None);
    }
    Ok(ours(folder)?.filter(|(master, _)| !settled(master.final_state())))
}

/// Reads a job of ours: one with a plan.
pub(super) fn ours(folder: &JobDir) -> Result<Option<(Master, Plan)>, Unread> {
    let (plan, master) = (folder.plan(), folder.file(JobFile::Master));
    let bytes = match read::whole(&plan, read::MASTER_CAP) {
        Ok((bytes, _)) => bytes,
        Err(error) if is_no_file_of_ours(&error) => return Ok(None),
        Err(error) => return Err(StoreError::at("read", plan)(error).into()),
    };
    let plan: Plan = serde_json::from_slice(&bytes)
        .map_err(|error| Unread::Broken(format!("repositories.json: {error}")))?;
    let bytes = match read::whole(&master, read::MASTER_CAP) {
        Ok((bytes, _)) => bytes,
        Err(error) if is_no_file_of_ours(&error) => {
            return Err(Unread::Broken(format!("master.json: {error}")));
        }
        Err(error) => return Err(StoreError::at("read", master)(error).into()),
    };
    let (master, _) =
        Master::parse(&bytes).map_err(|error| Unread::Broken(format!("master.json: {error}")))?;
    Ok(Some((master, plan)))
}

pub(super) fn look_at(
    setup: &Setup,
    folder: &JobDir,
    id: &JobId,
    plan: &Plan,
    retries: Retries,
) -> Result<BTreeMap<u32, Found>, StoreError> {
    let swept = orphans::end_all(folder, id, plan.counted().map(|(index, _)| index))?;
    plan.counted()
        .map(|(index, planned)| {
            let key = RepoKey { job: id.clone(), index };
            let tree = if swept.contains(&index) { Tree::Swept } else { Tree::Unknown };
            let (name, git_url) = (&planned.repo_name, &planned.git_url);
            let found = find(setup, &key, name, git_url, &Ended::unknown(tree), retries)?;
            Ok(match (found, &planned.refused) {
                (Found::Queued(_), Some(reason)) => (index, Found::Refused(reason.clone())),
                (found, _) => (index, found),
            })
        })
        .collect()
}

/// Says where a repository stands, and settles an attempt whose shim is dead.
///
/// `retries` are those that are left to its job: none of one that is cancelled or over.
pub(super) fn find(
    setup: &Setup,
    key: &RepoKey,
    name: &str,
    git_url: &str,
    ended: &Ended,
    retries: Retries,
) -> Result<Found, StoreError> {
    let folder = &setup.jobs.job(&key.job);
    let planned = Planned { folder, key, name, git_url };
    let mut ended = ended.clone();
    loop {
        if let Some(found) = look_once(setup, &planned, &ended, retries)? {
            return Ok(found);
        }
        // Another shim has come to life, or another thread settles the same attempt.
        thread::sleep(PAUSE);
        if ended.tree == Tree::Swept {
            ended.tree = Tree::Unknown;
        }
    }
}

/// As [`find`]; `None` if somebody else was at it meanwhile.
fn look_once(
    setup: &Setup,
    planned: &Planned<'_>,
    ended: &Ended,
    retries: Retries,
) -> Result<Option<Found>, StoreError> {
    let Planned { folder, key, .. } = *planned;
    let index = key.index;
    let holder = lock::holder(&folder.lock(index))?;
    let written = attempt::read(folder, index)?;
    // A scanner may be able to write that file: it does not take back what this server knows.
    let record = ended.known.clone().or_else(|| written.clone());
    // One that was killed and is not gone, for it hangs in the kernel, will not run again.
    let hangs = |it: &Holder| ended.killed.is_some_and(|killed| killed.pid == it.pid);
    let is_stuck = holder.as_ref().is_some_and(hangs);
    if let Some(holder) = holder.filter(|it| !hangs(it)) {
        let Some(attempt) = orphans::attempt_of_shim(&holder, key, ended.known.as_ref()) else {
            orphans::end_stray(planned, &holder, record.as_ref(), ended.is_seen)?;
            return Ok(None);
        };
        let order = attempt::read_order(folder, index).filter(|it| it.attempt == attempt);
        let record = record.filter(|it| it.attempt == attempt);
        let ordered = order.map(|it| it.reason);
        return Ok(Some(Found::Running(Living { holder, attempt, record, ordered })));
    }
    let Some(record) = claimed(record, ended) else {
        // No shim ever claimed it. A scanner cannot have written, but a cancel can.
        return Ok(Some(match read_status(folder, index)? {
            Some((status, _)) if status.state.is_final() => Found::Over(Box::new(status)),
            _ => Found::Queued(Next::afresh(1)),
        }));
    };
    if ended.tree == Tree::Unknown {
        orphans::end(folder, key, &record);
    }
    let status = read_status(folder, index)?;
    let is_final = status.as_ref().is_some_and(|(status, _)| {
        // The end of an earlier attempt is not the end of this one.
        status.state.is_final() && status.attempt.is_none_or(|it| it >= record.attempt)
    });
    if let Some((status, bytes)) = &status
        && is_final
        && (ended.tree == Tree::Ended || orphans::was_seen_to(bytes))
    {
        let status = Box::new(status.clone());
        return Ok(Some(over_or_again(planned, &record, status, retries)));
    }
    if let Some((status, _)) = &status
        && ended.waiting_is_true
        && let Some(next) = waiting(&record, status, retries)
    {
        return Ok(Some(Found::Queued(next)));
    }
    // What follows is written in the dead shim's place, so its lock is held meanwhile: a server
    // that was killed may have sent another shim, which has only just come to life. Where
    // something else stands in the place of the lock, no shim can have it either.
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
            Ok(Some(over_or_again(planned, &record, Box::new(status), retries)))
        }
        status => {
            let before = status.map(|(_, bytes)| bytes);
            match ended.verdict() {
                Some(it) => settle_named(planned, &record, it, before.as_deref(), retries),
                None => settle_dead(planned, &record, before.as_deref()),
            }
            .map(Some)
        }
    }
}

/// The record of the last attempt that was claimed. One whose shim the server had to kill counts as
/// claimed: what it was given is the attempt that ends.
fn claimed(record: Option<AttemptRecord>, ended: &Ended) -> Option<AttemptRecord> {
    let Some(killed) = ended.killed else { return record };
    match record {
        Some(record) if record.attempt >= killed.attempt => Some(record),
        // An adopted one: killed before it came so far.
        earlier => Some(AttemptRecord {
            schema: 1,
            attempt: killed.attempt,
            interruptions: earlier.as_ref().map_or(0, |it| it.interruptions),
            retries: earlier.as_ref().map_or(0, |it| it.retries),
            started_at: Utc::now(),
        }),
    }
}

/// What a repository waits for whose status says that it waits.
fn waiting(record: &AttemptRecord, status: &RepositoryStatus, retries: Retries) -> Option<Next> {
    if status.state != RepoState::Pending {
        return None;
    }
    // For the next attempt: by itself, or because somebody asked for one.
    if status.attempt > Some(record.attempt) {
        return Some(retry::awaited(record, status, retries));
    }
    // `interrupted`, written for this attempt: it was stopped in order, or settled before.
    let is_interrupted =
        status.failure.as_ref().is_some_and(|it| it.kind == FailureKind::Interrupted);
    (is_interrupted && status.attempt == Some(record.attempt))
        .then(|| Next::after(record, record.interruptions))
}

#[cfg(test)]
mod tests;
