//! A finished job of which nothing has changed for a resync period: as little is kept of it as tells
//! whether something has.
//!
//! Input: a folder that has come to rest, and the open jobs folder. Output: whether it is as it was.
//! Invariant: it is not watched; it takes 16 bytes for each file, and no path.

use super::folder::{Folder, moment_of};
use crate::{
    live::job::SharedJob,
    model::JobId,
    store::{
        layout::{JobDir, JobFile},
        open_folder::OpenFolder,
        read::Signature,
    },
};

/// What is known of the folder of such a job.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) job: SharedJob,
    listed: Signature,
    files: Box<[(JobFile, u64)]>,
}

impl Resting {
    pub(super) fn new(
        job: SharedJob,
        listed: Signature,
        files: impl IntoIterator<Item = (JobFile, u64)>,
    ) -> Self {
        Self { job, listed, files: files.into_iter().collect() }
    }

    /// What is needed to read it again, as far as it has changed.
    pub(super) fn wake(self, dir: JobDir) -> Folder {
        let Self { job, listed, files } = self;
        Folder::of_known(job, dir, &listed, files, moment_of(listed.changed_at()))
    }

    /// Whether the folder is the same one, whatever has happened in it.
    pub(super) fn is_same_folder(&self, now: &Signature) -> bool {
        self.listed.same_file(now)
    }

    /// Whether no file has come, gone or been replaced: each of these changes the folder.
    pub(super) fn is_as_listed(&self, now: &Signature) -> bool {
        self.listed == *now
    }

    /// Whether no file has been changed in its place, which does not change the folder.
    pub(super) fn has_its_files(&self, root: &OpenFolder, id: &JobId) -> bool {
        root.folder(id.as_str()).is_ok_and(|folder| {
            let is_same = |(file, known): &(JobFile, u64)| {
                folder.signature_of(&file.name()).is_ok_and(|now| now.number() == *known)
            };
            self.files.iter().all(is_same)
        })
    }
}
