//! The removal of a job's files, with or without archiving them first.
//!
//! Input: a finished job. Output: its archive record, and no files; or neither of them.
//!
//! Invariants: the files of a job that is archived are removed only after its record is durable, so a crash leaves the
//! files, the record, or both, and never neither; the record of a job that is deleted is removed before its files, so a
//! deleted job is never found again. Blocking.

use super::Setup;
use crate::{
    model::JobId,
    store::{
        StoreError,
        archive::{Archive, ArchiveHeader},
        chain,
        layout::JobsDir,
        read::is_missing_folder,
        space::Obstacle,
        trash,
    },
};

/// Archives a finished job, and removes its files.
pub(super) fn retire(setup: &Setup, header: ArchiveHeader) -> Result<(), StoreError> {
    let id = header.job.clone();
    let folder = setup.jobs.job(&id);
    if is_missing_folder(folder.path()) {
        return trash::remove_job(&setup.jobs, &id);
    }
    let archive = Archive::of(&setup.jobs);
    if let Err(error) = archive.write(&folder, header) {
        setup.space.suspect();
        let Some(obstacle @ Obstacle::Short(_)) = setup.space.obstacle() else {
            return Err(error);
        };
        // The files are removed nevertheless: that is what frees the space.
        tracing::warn!(job = %id, error = chain(&error), "the results of an expired job are removed without being archived: {obstacle}");
        archive.remove(&id)?;
    }
    trash::remove_job(&setup.jobs, &id)
}

/// Removes everything of a job.
pub(super) fn remove(jobs: &JobsDir, id: &JobId) -> Result<(), StoreError> {
    Archive::of(jobs).remove(id)?;
    trash::remove_job(jobs, id)
}
