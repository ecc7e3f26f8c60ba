//! What is in a job's file: bytes come in, what they say goes out.

use crate::{
    model::{master::Master, repository::RepositoryStatus},
    store::{layout::JobFile, read},
};

/// What a file says, and what could not be understood of it.
#[derive(Debug)]
pub(super) enum Content {
    Master(Master, Vec<String>),
    Repository(RepositoryStatus, Vec<String>),
}

impl Content {
    /// The most that is read of such a file.
    pub(super) fn cap(file: JobFile) -> u64 {
        match file {
            JobFile::Master => read::MASTER_CAP,
            JobFile::Repository(_) => read::STATUS_CAP,
        }
    }

    /// Reads it; an error is a sentence for people.
    pub(super) fn parse(file: JobFile, bytes: &[u8]) -> Result<Self, String> {
        match file {
            JobFile::Master => Master::parse(bytes).map(|(it, texts)| Self::Master(it, texts)),
            JobFile::Repository(index) => {
                RepositoryStatus::parse(index, bytes).map(|(it, texts)| Self::Repository(it, texts))
            }
        }
    }

    /// Whether it is a final state: of the job, or of the repository.
    pub(super) fn is_end(&self) -> bool {
        match self {
            Self::Master(master, _) => master.final_state().is_some(),
            Self::Repository(status, _) => status.state.is_final(),
        }
    }
}
