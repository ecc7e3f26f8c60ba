//! Parses a file of a job.
//!
//! Input: the bytes of a master or status file. Output: its parsed content, with warnings.
//!
//! Invariants: every byte sequence gives either content or an error message; nothing panics.

use crate::{
    model::{master::Master, repository::RepositoryStatus},
    store::{layout::JobFile, read},
};

/// The content of a file, and warnings about parts that could not be understood.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a status is moved into the cache at once")]
pub(super) enum FileContent {
    Master(Box<Master>, Vec<String>),
    Repository(RepositoryStatus, Vec<String>),
}

impl FileContent {
    /// The most bytes that are read of such a file.
    pub(super) fn cap(file: JobFile) -> u64 {
        match file {
            JobFile::Master => read::MASTER_CAP,
            JobFile::Repository(_) => read::STATUS_CAP,
        }
    }

    /// Parses the bytes. The error is a message for people.
    pub(super) fn parse(file: JobFile, bytes: &[u8]) -> Result<Self, String> {
        match file {
            JobFile::Master => Master::parse(bytes)
                .map(|(master, warnings)| Self::Master(Box::new(master), warnings)),
            JobFile::Repository(index) => RepositoryStatus::parse(index, bytes)
                .map(|(status, warnings)| Self::Repository(status, warnings)),
        }
    }

    /// Whether the content is a master file that names the start of the job.
    pub(super) fn names_start(&self) -> bool {
        matches!(self, Self::Master(master, _) if master.started_at.is_some())
    }

    /// Whether the content is a final state of the job or of the repository.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Master(master, _) => master.final_state().is_some(),
            Self::Repository(status, _) => status.state.is_final(),
        }
    }
}
