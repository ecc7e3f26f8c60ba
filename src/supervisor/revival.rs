//! A finished job of which something failed becomes an unfinished one again.
//!
//! What flows in: a job's folder. What flows out: the same job as if it had been found at start, with
//! what failed queued for its next attempt. What must stay true: whatever was completed stays as it
//! is; what must not be contacted is not tried again.

use super::{
    Setup,
    recovery::{Found, RecoveredJob, Unread, look_at, ours, read_status},
};
use crate::{
    model::{
        JobId, RepoState,
        repository::{StatusPatch, raw_object},
    },
    store::{StoreError, atomic::Durability, attempt, chain, layout::JobDir},
};
use chrono::Utc;

/// What became of the wish to scan what failed again.
#[derive(Debug)]
pub(super) enum Revival {
    /// It is on the disk that the job goes on.
    Job(Box<RecoveredJob>),
    NothingFailed,
    /// Another program's job, or none.
    NotOurs,
}

/// Makes a finished job an unfinished one, in which what failed waits for its next attempt.
///
/// The job comes first: a crash in between leaves failed repositories in an unfinished job,
/// which is then finished as it was.
pub(super) fn revive(setup: &Setup, id: &JobId) -> Result<Revival, StoreError> {
    let folder = setup.jobs.job(id);
    let (mut master, plan) = match ours(&folder) {
        Ok(Some(job)) => job,
        Ok(None) => return Ok(Revival::NotOurs),
        Err(Unread::Disk(error)) => return Err(error),
        Err(error @ Unread::Broken(_)) => {
            tracing::error!(%id, error = chain(&error), "cannot read a job");
            return Ok(Revival::NotOurs);
        }
    };
    let mut repositories = look_at(setup, &folder, id, &plan)?;
    let failed: Vec<u32> = repositories
        .iter()
        .filter(|(_, found)| matches!(found, Found::Over(status) if status.state.is_failure()))
        .map(|(index, _)| *index)
        .filter(|index| plan.counted().any(|(it, row)| it == *index && row.refused.is_none()))
        .collect();
    if failed.is_empty() && plan.complete {
        return Ok(Revival::NothingFailed);
    }
    master.reopen(Utc::now());
    folder.write_master(&master, Durability::Flushed)?;
    for index in failed {
        let Some((_, row)) = plan.counted().find(|(it, _)| *it == index) else { continue };
        let next_attempt = attempt::read(&folder, index)?.map_or(0, |it| it.attempt) + 1;
        write_waiting(&folder, index, &row.repo_name, &row.git_url, next_attempt)?;
        repositories.insert(index, Found::Queued { next_attempt, interruptions: 0 });
    }
    let job = RecoveredJob::new(id.clone(), master, plan, repositories);
    Ok(Revival::Job(Box::new(job)))
}

/// Begins a repository's status anew: it waits for this attempt.
fn write_waiting(
    folder: &JobDir,
    index: u32,
    name: &str,
    git_url: &str,
    attempt: u64,
) -> Result<(), StoreError> {
    let before = read_status(folder, index)?.and_then(|(_, bytes)| raw_object(&bytes));
    // Nothing of the earlier attempt stays but the count of writes.
    let kept = before.map(|map| map.into_iter().filter(|(key, _)| key == "revision").collect());
    let word = RepoState::Pending.as_str();
    let now = Utc::now();
    let value =
        StatusPatch { index, name, git_url, attempt, word, now, started_at: None, failure: None }
            .apply(kept);
    folder.write_status(index, &value, Durability::Flushed)
}
