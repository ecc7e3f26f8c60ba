//! What the files of one job say, counted and put in the order of its versions.
//!
//! What must stay true: every part has one entry in `order`, its newest; the counts are those of
//! the newest states; whatever changes, the version grows.

use crate::{
    model::{
        JobId, JobState, RepoState,
        master::Master,
        progress::{self, JobFacts},
        repository::RepositoryStatus,
        state::Summary,
    },
    store::layout::JobFile,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(super) struct Data {
    pub(super) master: Option<Master>,
    pub(super) repositories: BTreeMap<u32, Entry>,
    /// The files that are there, but have never been read well.
    pub(super) unreadable: BTreeSet<u32>,
    pub(super) working: BTreeSet<u32>,
    /// Counted states; the total is that of the files.
    pub(super) counted: Summary,
    pub(super) warnings: BTreeMap<JobFile, Vec<String>>,
    pub(super) facts: JobFacts,
    pub(super) version: u64,
    /// Which part got which version; every part has one entry, its newest.
    pub(super) order: BTreeMap<u64, Part>,
    pub(super) job_version: u64,
    /// Nothing more is expected: the end has been said.
    pub(super) ended: bool,
    pub(super) removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Job,
    Repository(u32),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) status: RepositoryStatus,
    pub(super) version: u64,
    /// The data of its message, made when somebody first follows.
    pub(super) data: Option<Bytes>,
}

impl Data {
    /// Of a job of which no file has been read.
    pub(super) fn new(id: JobId) -> Self {
        let facts = JobFacts {
            id,
            url: None,
            state: JobState::Initializing,
            summary: Summary::default(),
            started_at: None,
            completed_at: None,
            error: None,
            fraction: 0.0,
        };
        Self {
            master: None,
            repositories: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            working: BTreeSet::new(),
            counted: Summary::default(),
            warnings: BTreeMap::new(),
            facts,
            version: 1,
            order: BTreeMap::from([(1, Part::Job)]),
            job_version: 1,
            ended: false,
            removed: false,
        }
    }

    pub(super) fn insert(&mut self, status: RepositoryStatus) {
        self.version += 1;
        let (index, version) = (status.index, self.version);
        if let Some(old) = self.repositories.remove(&index) {
            self.uncount(&old.status);
            self.order.remove(&old.version);
        }
        match status.state {
            RepoState::Pending => {}
            RepoState::Working(_) => {
                self.counted.in_progress += 1;
                self.working.insert(index);
            }
            RepoState::Completed => self.counted.completed += 1,
            RepoState::Failed | RepoState::TimedOut | RepoState::Cancelled => {
                self.counted.failed += 1;
            }
        }
        self.order.insert(version, Part::Repository(index));
        self.repositories.insert(index, Entry { status, version, data: None });
    }

    pub(super) fn uncount(&mut self, status: &RepositoryStatus) {
        match status.state {
            RepoState::Pending => {}
            RepoState::Working(_) => {
                self.counted.in_progress -= 1;
                self.working.remove(&status.index);
            }
            RepoState::Completed => self.counted.completed -= 1,
            RepoState::Failed | RepoState::TimedOut | RepoState::Cancelled => {
                self.counted.failed -= 1;
            }
        }
    }

    pub(super) fn set_warnings(&mut self, file: JobFile, warnings: Vec<String>) -> bool {
        if warnings.is_empty() {
            self.warnings.remove(&file).is_some()
        } else {
            self.warnings.insert(file, warnings.clone()) != Some(warnings)
        }
    }

    /// Derives the job's line anew; it gets a version of its own where it differs.
    pub(super) fn refresh(&mut self) {
        let files = (self.repositories.len() + self.unreadable.len()) as u64;
        let counted = Summary { total_repositories: files, ..self.counted };
        let summary = progress::totalled(self.master.as_ref(), counted);
        let master = self.master.as_ref();
        let state = JobState::derive(master.and_then(Master::final_state), &summary);
        let working = self.working.iter().filter_map(|it| self.repositories.get(it));
        let facts = JobFacts {
            id: self.facts.id.clone(),
            url: master.and_then(|it| it.group_url.clone()),
            state,
            summary,
            started_at: master.and_then(|it| it.started_at),
            completed_at: master.and_then(|it| it.completed_at),
            error: master.and_then(|it| it.error.clone()),
            fraction: progress::fraction(&summary, working.map(|it| &it.status)),
        };
        let same_line = facts.has_line_of(&self.facts);
        self.facts = facts;
        // Warnings and the like are in the document alone, but they are news to it.
        self.version += 1;
        if !same_line {
            self.order.remove(&self.job_version);
            self.job_version = self.version;
            self.order.insert(self.version, Part::Job);
        }
    }
}
