//! The minimum that is kept of the folder of an idle job, that is, a finished job that has not
//! changed for a resync interval.
//!
//! Input: the signatures of a folder that became idle, and the open jobs folder. Output: whether the folder has
//! changed.
//!
//! Invariants: the folder has no watch; it takes 16 bytes per file, and no path.

use crate::{
    live::job::SharedJob,
    model::JobId,
    store::{layout::JobFile, open_folder::OpenFolder, read::Signature},
};

/// The folder of an idle job.
#[derive(Debug)]
pub(super) struct IdleFolder {
    pub(super) job: SharedJob,
    pub(super) listed: Signature,
    pub(super) files: Box<[(JobFile, u64)]>,
}

impl IdleFolder {
    pub(super) fn new(
        job: SharedJob,
        listed: Signature,
        files: impl IntoIterator<Item = (JobFile, u64)>,
    ) -> Self {
        Self { job, listed, files: files.into_iter().collect() }
    }

    /// Whether it is still the same folder, whatever has happened in it.
    pub(super) fn is_same_folder(&self, now: &Signature) -> bool {
        self.listed.same_file(now)
    }

    /// Whether no file was created, removed or replaced: each of these changes the folder's
    /// signature.
    pub(super) fn is_as_listed(&self, now: &Signature) -> bool {
        self.listed == *now
    }

    /// Whether no file was changed in place, which does not change the folder's signature.
    pub(super) fn has_its_files(&self, root: &OpenFolder, id: &JobId) -> bool {
        root.folder(id.as_str()).is_ok_and(|folder| {
            let is_same = |(file, known): &(JobFile, u64)| {
                folder.signature_of(&file.name()).is_ok_and(|now| now.number() == *known)
            };
            self.files.iter().all(is_same)
        })
    }
}
