//! Reopens a finished job of which repositories failed.
//!
//! Input: a job's folder. Output: the job as if it had been found unfinished at start, with its
//! failed repositories, or those that failed for one cause, queued for their next attempt. Invariants: completed repositories stay as
//! they are; repositories that must not be contacted are not scanned again.

use super::{
    RepoKey, Setup,
    disposition::{Disposition, NextAttempt},
    job::RecoveredJob,
    recovery::{look_at, ours},
    status_files::PlannedRepository,
};
use crate::{
    model::{FailureKind, JobId, listing::PlanPage, repository::RepositoryStatus, retry::Retries},
    store::{
        StoreError,
        atomic::Durability,
        attempt, chain,
        listing::{self, ReadError},
    },
};
use chrono::Utc;

/// The outcome of a request to scan failed repositories again.
#[derive(Debug)]
pub(super) enum ReopenOutcome {
    /// The reopened job is on the disk.
    Job(Box<RecoveredJob>),
    NothingFailed,
    /// Another program's job, or no job.
    NotOurs,
}

/// Makes a finished job unfinished; its failed repositories wait for their next attempt.
///
/// The job is written first: a crash in between leaves failed repositories in an unfinished job,
/// which the next server finishes as before.
pub(super) fn reopen(
    setup: &Setup,
    id: &JobId,
    cause: Option<FailureKind>,
) -> Result<ReopenOutcome, StoreError> {
    let folder = setup.jobs.job(id);
    let (mut master, mut stored) = match ours(&folder) {
        Ok(Some(job)) => job,
        Ok(None) => return Ok(ReopenOutcome::NotOurs),
        Err(ReadError::Disk(error)) => return Err(error),
        Err(error @ ReadError::Broken(_)) => {
            tracing::error!(job = %id, error = chain(&error), "cannot read a job");
            return Ok(ReopenOutcome::NotOurs);
        }
    };
    let plan = &stored.plan;
    let mut repositories = look_at(setup, &folder, id, plan, Retries::NONE)?;
    let is_wanted = |status: &RepositoryStatus| {
        let kind = status.failure.as_ref().map(|failure| failure.kind);
        status.state.is_failure() && (cause.is_none() || cause == kind)
    };
    let failed: Vec<(u32, bool)> = repositories
        .iter()
        .filter_map(|(index, found)| match found {
            Disposition::Finished(status) if is_wanted(status) => {
                let kind = status.failure.as_ref().map(|failure| failure.kind);
                Some((*index, kind == Some(FailureKind::OutOfMemory)))
            }
            _ => None,
        })
        .filter(|(index, _)| {
            plan.counted().any(|(counted, row)| counted == *index && row.refused.is_none())
        })
        .collect();
    if failed.is_empty() && (plan.complete || cause.is_some()) {
        return Ok(ReopenOutcome::NothingFailed);
    }
    if !plan.complete && stored.listing.sequence > 0 {
        // What could not be listed is requested again.
        let sequence = stored.listing.sequence + 1;
        let page = PlanPage { sequence, again: true, ..PlanPage::default() };
        listing::append(&folder, &page)?;
        stored.add(page);
    }
    let plan = &stored.plan;
    master.reopen(Utc::now());
    folder.write_master(&master, Durability::Flushed)?;
    for (index, alone) in failed {
        let Some((_, row)) = plan.counted().find(|(counted, _)| *counted == index) else {
            continue;
        };
        let next_attempt = attempt::read(&folder, index)?.map_or(0, |record| record.attempt) + 1;
        let key = &RepoKey { job: id.clone(), index };
        let (name, git_url) = (&row.repo_name, &row.git_url);
        PlannedRepository { folder: &folder, key, name, git_url }
            .write_waiting(next_attempt, None)?;
        repositories.insert(
            index,
            Disposition::Queued(NextAttempt { alone, ..NextAttempt::afresh(next_attempt) }),
        );
    }
    let job = RecoveredJob { id: id.clone(), master, plan: stored, repositories };
    Ok(ReopenOutcome::Job(Box::new(job)))
}
