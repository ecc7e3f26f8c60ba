//! What the files of one job say, counted and put in the order of its versions.
//!
//! What must stay true: every part has one entry in `order`, its newest; the counts are those of
//! the newest states; whatever changes, the version grows; a change costs the same however large the
//! job is.

use super::{
    document::Blocks,
    elapsed::{Elapsed, Moment},
    frames::Shared,
    versions::Versions,
};
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
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug)]
pub(super) struct Data {
    pub(super) master: Option<Master>,
    pub(super) repositories: BTreeMap<u32, Entry>,
    /// The files that are there, but have never been read well.
    pub(super) unreadable: BTreeSet<u32>,
    /// Those that failed.
    pub(super) failed: BTreeSet<u32>,
    /// What is done of those at work: millionths of a repository, so that nothing is lost when
    /// they are added and taken away again.
    parts: u64,
    /// Counted states; the total is that of the files.
    pub(super) counted: Summary,
    pub(super) warnings: BTreeMap<JobFile, Vec<String>>,
    pub(super) facts: JobFacts,
    pub(super) elapsed: Elapsed,
    /// What the progress document is made of.
    pub(super) blocks: Blocks,
    versions: Versions,
    /// The first version: a reader with an older one knows another job of the same id.
    pub(super) born: u64,
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
    pub(super) message: Option<Shared>,
}

impl Data {
    /// Of a job of which no file has been read.
    pub(super) fn new(id: JobId, versions: Versions) -> Self {
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
        let born = versions.next();
        Self {
            master: None,
            repositories: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            failed: BTreeSet::new(),
            parts: 0,
            counted: Summary::default(),
            warnings: BTreeMap::new(),
            facts,
            elapsed: Elapsed::default(),
            blocks: Blocks::new(),
            versions,
            born,
            version: born,
            order: BTreeMap::from([(born, Part::Job)]),
            job_version: born,
            ended: false,
            removed: false,
        }
    }

    /// Moves to the next version.
    pub(super) fn advance(&mut self) -> u64 {
        self.version = self.versions.next();
        self.version
    }

    pub(super) fn insert(&mut self, status: RepositoryStatus) {
        let (index, version) = (status.index, self.advance());
        let old = self.repositories.remove(&index);
        self.blocks.note(old.as_ref().map(|it| &it.status), Some(&status));
        if let Some(old) = old {
            self.uncount(&old.status);
            self.order.remove(&old.version);
        }
        self.count(&status);
        self.order.insert(version, Part::Repository(index));
        self.repositories.insert(index, Entry { status, version, message: None });
    }

    /// Takes a repository away; whether there was one.
    pub(super) fn remove(&mut self, index: u32) -> bool {
        let Some(old) = self.repositories.remove(&index) else { return false };
        self.blocks.note(Some(&old.status), None);
        self.uncount(&old.status);
        self.order.remove(&old.version);
        true
    }

    fn count(&mut self, status: &RepositoryStatus) {
        match status.state {
            RepoState::Pending => {}
            RepoState::Working(_) => {
                self.counted.in_progress += 1;
                self.parts += millionths(status);
            }
            RepoState::Completed => self.counted.completed += 1,
            RepoState::Failed | RepoState::TimedOut | RepoState::Cancelled => {
                self.counted.failed += 1;
                self.failed.insert(status.index);
            }
        }
    }

    fn uncount(&mut self, status: &RepositoryStatus) {
        match status.state {
            RepoState::Pending => {}
            RepoState::Working(_) => {
                self.counted.in_progress -= 1;
                self.parts -= millionths(status);
            }
            RepoState::Completed => self.counted.completed -= 1,
            RepoState::Failed | RepoState::TimedOut | RepoState::Cancelled => {
                self.counted.failed -= 1;
                self.failed.remove(&status.index);
            }
        }
    }

    /// Why a job failed: its own error, else that of its first failed repository.
    pub(super) fn error_message(&self) -> Option<String> {
        if self.facts.state.coarse() != "failed" {
            return None;
        }
        let first = || self.repositories.get(self.failed.first()?)?.status.error.clone();
        self.facts.error.clone().or_else(first)
    }

    pub(super) fn set_warnings(&mut self, file: JobFile, warnings: Vec<String>) -> bool {
        let news = if warnings.is_empty() {
            self.warnings.remove(&file).is_some()
        } else {
            self.warnings.insert(file, warnings.clone()) != Some(warnings)
        };
        if news {
            self.blocks.note_warnings(file);
        }
        news
    }

    /// Derives the job's line anew; it gets a version of its own where it differs.
    pub(super) fn refresh(&mut self) {
        let files = (self.repositories.len() + self.unreadable.len()) as u64;
        let counted = Summary { total_repositories: files, ..self.counted };
        let summary = progress::totalled(self.master.as_ref(), counted);
        let master = self.master.as_ref();
        let state = JobState::derive(master.and_then(Master::final_state), &summary);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let partly = self.parts as f64 / MILLION;
        let facts = JobFacts {
            id: self.facts.id.clone(),
            url: master.and_then(|it| it.group_url.clone()),
            state,
            summary,
            started_at: master.and_then(|it| it.started_at),
            completed_at: master.and_then(|it| it.completed_at),
            error: master.and_then(|it| it.error.clone()),
            fraction: progress::fraction(&summary, partly),
        };
        let same_line = facts.has_line_of(&self.facts);
        if facts.summary.pending != self.facts.summary.pending {
            self.blocks.note_pending();
        }
        self.elapsed.note(facts.started_at, facts.completed_at, Moment::now());
        self.facts = facts;
        // Warnings and the like are in the document alone, but they are news to it.
        self.advance();
        if !same_line {
            self.order.remove(&self.job_version);
            self.job_version = self.version;
            self.order.insert(self.version, Part::Job);
        }
    }
}

const MILLION: f64 = 1e6;

/// How much of a repository at work is done.
fn millionths(status: &RepositoryStatus) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
    let parts = (status.fraction().clamp(0.0, 1.0) * MILLION).round() as u64;
    parts
}
