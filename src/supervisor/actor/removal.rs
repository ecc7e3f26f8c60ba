//! The removal of jobs: what a request starts, and what follows once the files are gone.
//!
//! Input: requests to remove a job, or to archive it and then remove its files; the outcomes of these steps. Output: steps,
//! answers.
//!
//! Invariants: a job's files are removed only when nothing of the job runs, is being written or is queued; a job that is
//! being scanned is never archived; a request to remove everything prevails over one to archive the job.

use super::{Actor, jobs::copy_of};
use crate::{
    model::JobId,
    store::{StoreError, archive::ArchiveHeader},
    supervisor::job_steps::{After, RemovalAnswer},
};
use std::io;

impl Actor {
    pub(super) fn remove(
        &mut self,
        id: &JobId,
        archive: Option<Box<ArchiveHeader>>,
        answer: RemovalAnswer,
    ) {
        if archive.is_some() && self.jobs.get(id).is_some_and(|job| !job.finished) {
            // It was reopened after it had expired.
            let path = self.setup.jobs.job(id).path().to_owned();
            let cause = io::Error::other("its repositories are scanned again");
            let _ = answer.send(Err(StoreError::at("archive", path)(cause)));
            return;
        }
        self.steps.request_removal(id, archive, answer);
        if self.jobs.contains_key(id) {
            // If the server dies midway, the next server must not continue the job.
            self.note_cancelled(id, After::Vanish);
        } else {
            self.remove_if_idle(id);
        }
    }

    /// Removes a job's files once nothing of it runs, is being written or is queued.
    pub(super) fn remove_if_idle(&mut self, id: &JobId) {
        if !self.jobs.contains_key(id)
            && let Some(step) = self.steps.begin_removal(id)
        {
            self.push(id, step);
        }
    }

    pub(super) fn removed(&mut self, id: &JobId, removed: &Result<(), StoreError>) {
        if self.steps.is_to_be_deleted(id) {
            // Requested while the job was being archived.
            return;
        }
        for answer in self.steps.end_removal(id) {
            let _ = answer.send(removed.as_ref().map_err(copy_of).copied());
        }
    }
}
