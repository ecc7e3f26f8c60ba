//! A finished job of which something failed becomes an unfinished one again.
//!
//! Input: a job's folder. Output: the same job as if it had been found at start, with
//! what failed queued for its next attempt. Invariants: whatever was completed stays as it
//! is; what must not be contacted is not tried again.

use super::{
    Setup,
    recovery::{Found, RecoveredJob, Unread, look_at, ours},
    retry::{Next, write_waiting},
};
use crate::{
    model::{JobId, retry::Retries},
    store::{StoreError, atomic::Durability, attempt, chain},
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
    let mut repositories = look_at(setup, &folder, id, &plan, Retries::NONE)?;
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
        write_waiting(&folder, index, &row.repo_name, &row.git_url, next_attempt, None)?;
        repositories.insert(index, Found::Queued(Next::afresh(next_attempt)));
    }
    let job = RecoveredJob { id: id.clone(), master, plan, repositories };
    Ok(Revival::Job(Box::new(job)))
}
