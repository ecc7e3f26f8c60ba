//! Recovery: determines from a job's files and locks which shims live, which attempts died, and
//! what is to be queued.
//!
//! Input: the jobs folder, or one job's folder. Output: unfinished jobs with the state of each
//! repository; dead attempts are finalized on the way.
//!
//! Invariants: only jobs with a plan of ours are changed; an error in one job leaves that job
//! unchanged and delays no other.

use super::{
    RepoKey, Setup,
    disposition::Disposition,
    engine::local::orphans,
    job::RecoveredJob,
    outcome::find,
    shim_exit::{ProcessTree, ShimExit},
};
use crate::{
    model::{JobId, JobState, listing::StoredPlan, master::Master, plan::Plan, retry::Retries},
    store::{
        StoreError, chain,
        io_error::is_no_file_of_ours,
        layout::{JobDir, JobFile},
        listing::{self, ReadError},
        open_folder::OpenFolder,
        packed_jobs::{PackedJob, PackedJobs},
        read,
    },
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
};

/// The jobs that were found at start.
#[derive(Debug, Default)]
pub struct Recovered {
    pub jobs: Vec<RecoveredJob>,
    /// Jobs that could not be read; to be read again later.
    pub unread: Vec<JobId>,
}

/// Finds all unfinished jobs of ours below the jobs folder, and finalizes their dead attempts.
///
/// # Errors
/// Only if the jobs folder itself cannot be listed. An error in one job is logged and leaves that
/// job unchanged.
pub fn recover(setup: &Setup, packed: &PackedJobs) -> Result<Recovered, StoreError> {
    let root =
        OpenFolder::open(setup.jobs.root()).map_err(StoreError::at("open", setup.jobs.root()))?;
    let left = Mutex::new(setup.jobs.jobs()?.into_iter());
    let recovered = Mutex::new(Recovered::default());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(id) = next() {
            if packed.get(&id).is_some_and(|packed| is_finished(&root, &id, &packed)) {
                continue;
            }
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

/// Whether a job was finished when its copy was made, and its master.json has not changed since.
fn is_finished(root: &OpenFolder, id: &JobId, packed: &PackedJob<'_>) -> bool {
    packed.needs_nothing && packed.has_its_master(root, id)
}

/// Reads one job and finalizes its dead attempts; `None` if it is finished or not ours.
///
/// # Errors
/// If the disk refuses, which has been logged. The call may be repeated.
pub fn recover_one(setup: &Setup, id: &JobId) -> Result<Option<RecoveredJob>, StoreError> {
    let folder = setup.jobs.job(id);
    let look = || -> Result<Option<RecoveredJob>, ReadError> {
        let Some((master, plan)) = unfinished(&folder)? else { return Ok(None) };
        let repositories = look_at(setup, &folder, id, &plan.plan, setup.retries(&master))?;
        let finished = repositories.values().all(|found| matches!(found, Disposition::Finished(_)));
        // A final job whose repositories are all finished and listed in master.json needs nothing
        // more.
        let listed = master.named() == repositories.len();
        let done = finished && listed && master.final_state().is_some();
        Ok((!done).then(|| RecoveredJob { id: id.clone(), master, plan, repositories }))
    };
    look().or_else(|error| {
        tracing::error!(job = %id, error = chain(&error), "cannot recover a job");
        match error {
            ReadError::Disk(error) => Err(error),
            ReadError::Broken(_) => Ok(None),
        }
    })
}

/// Reads a job of ours that may need work; the carrying out of a cancel may have been interrupted.
fn unfinished(folder: &JobDir) -> Result<Option<(Master, StoredPlan)>, ReadError> {
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
pub(super) fn ours(folder: &JobDir) -> Result<Option<(Master, StoredPlan)>, ReadError> {
    let Some(plan) = listing::read(folder)? else { return Ok(None) };
    let master = folder.file(JobFile::Master);
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

/// Determines the state of each repository of a job.
///
/// `retries` are the job's automatic retries: none if it is cancelled or finished.
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
