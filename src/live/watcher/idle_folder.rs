//! The minimum that is kept of the folder of an idle job, that is, a finished job that has not
//! changed for a resync interval.
//!
//! Input: the signatures of a folder that became idle, and the open jobs folder. Output: whether the folder has
//! changed.
//!
//! Invariants: the folder has no watch; it takes 8 bytes per file if the files are numbered without
//! a gap, which is usual, otherwise 16 bytes; and no path.

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
    files: KnownFiles,
}

/// The files of a folder, each with the number of its signature.
#[derive(Debug)]
enum KnownFiles {
    /// The master file, and the repositories from 0 without a gap.
    Numbered(Box<[u64]>),
    Other(Box<[(JobFile, u64)]>),
}

impl KnownFiles {
    fn new(files: impl IntoIterator<Item = (JobFile, u64)>) -> Self {
        let files: Vec<_> = files.into_iter().collect();
        if files.iter().enumerate().all(|(at, (file, _))| *file == numbered(at)) {
            Self::Numbered(files.into_iter().map(|(_, number)| number).collect())
        } else {
            Self::Other(files.into_boxed_slice())
        }
    }

    fn iter(&self) -> impl Iterator<Item = (JobFile, u64)> {
        let (numbered_files, others): (&[u64], &[_]) = match self {
            Self::Numbered(numbers) => (numbers, &[]),
            Self::Other(files) => (&[], files),
        };
        let named = |(at, number): (usize, &u64)| (numbered(at), *number);
        numbered_files.iter().enumerate().map(named).chain(others.iter().copied())
    }
}

/// The file at this place of the usual order.
fn numbered(at: usize) -> JobFile {
    let index = at.checked_sub(1).and_then(|index| u32::try_from(index).ok());
    index.map_or(JobFile::Master, JobFile::Repository)
}

impl IdleFolder {
    pub(super) fn new(
        job: SharedJob,
        listed: Signature,
        files: impl IntoIterator<Item = (JobFile, u64)>,
    ) -> Self {
        Self { job, listed, files: KnownFiles::new(files) }
    }

    /// Its files, each with the number of its signature.
    pub(super) fn files(&self) -> impl Iterator<Item = (JobFile, u64)> {
        self.files.iter()
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
            let is_same = |(file, known): (JobFile, u64)| {
                folder.signature_of(&file.name()).is_ok_and(|now| now.number() == known)
            };
            self.files().all(is_same)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if the compact form loses the name or the signature of a file.
    #[test]
    fn files_are_kept_in_either_form() {
        use JobFile::{Master, Repository};
        let usual = vec![(Master, 7), (Repository(0), 8), (Repository(1), 9)];
        assert!(matches!(KnownFiles::new(usual.clone()), KnownFiles::Numbered(_)));
        let with_a_gap = vec![(Master, 7), (Repository(0), 8), (Repository(2), 9)];
        let without_a_master = vec![(Repository(0), 8), (Repository(1), 9)];
        for files in [usual, with_a_gap, without_a_master, Vec::new()] {
            assert_eq!(KnownFiles::new(files.clone()).iter().collect::<Vec<_>>(), files);
        }
    }
}
