//! What the files of one job say, counted and put in the order of its versions.
//!
//! Such data is either open, to be asked and changed, or packed, to take little memory.
//!
//! What must stay true: every part has one entry in `order`, its newest; the counts are those of
//! the newest states; whatever changes, the version grows; a change costs the same however large the
//! job is.

use super::{
    board::Line,
    content::Content,
    document::Blocks,
    elapsed::{Elapsed, Moment},
    frames::{Memo, Shared},
    packed::{self, Files},
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
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::watch;

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
    /// Why the job failed: its own error, else that of its first failed repository.
    reason: Option<Arc<str>>,
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
    pub(super) job_message: Memo,
    pub(super) end_message: Memo,
    /// Nothing more is expected: the end has been said.
    pub(super) ended: bool,
    /// Who waits for the next version; made when somebody first does.
    pub(super) changes: Option<watch::Sender<u64>>,
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
        let born = versions.next();
        let files = Files { born, version: born, job_version: born, ..Files::default() };
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
        let line = Line { facts, elapsed: Elapsed::default(), error: None, ended: false };
        Self::of(files, line, versions)
    }

    /// Of a job whose files say this, and whose line is this.
    fn of(files: Files, line: Line, versions: Versions) -> Self {
        let Files { master, repositories, unreadable, warnings, born, version, job_version } =
            files;
        let mut data = Self {
            master,
            repositories: BTreeMap::new(),
            unreadable,
            failed: BTreeSet::new(),
            parts: 0,
            counted: Summary::default(),
            warnings,
            facts: line.facts,
            reason: line.error,
            elapsed: line.elapsed,
            blocks: Blocks::new(),
            versions,
            born,
            version,
            order: BTreeMap::from([(job_version, Part::Job)]),
            job_version,
            job_message: Memo::default(),
            end_message: Memo::default(),
            ended: line.ended,
            changes: None,
        };
        data.warnings.keys().for_each(|file| data.blocks.note_warnings(*file));
        for (status, version) in repositories {
            data.blocks.note(None, Some(&status));
            data.place(status, version);
        }
        data
    }

    /// What has been packed of a job whose line is this.
    pub(super) fn unpack(bytes: &[u8], line: Line, versions: Versions) -> Self {
        Self::of(packed::unpack(bytes, &line.facts), line, versions)
    }

    /// What its files say, in few bytes.
    pub(super) fn pack(self) -> Box<[u8]> {
        let repositories = self.repositories.into_values().map(|it| (it.status, it.version));
        let files = Files {
            repositories: repositories.collect(),
            master: self.master,
            unreadable: self.unreadable,
            warnings: self.warnings,
            born: self.born,
            version: self.version,
            job_version: self.job_version,
        };
        packed::pack(files, &self.facts)
    }

    /// Drops what can be made again.
    pub(super) fn release(&mut self) {
        self.blocks.release();
        self.repositories.values_mut().for_each(|it| it.message = None);
        self.job_message = Memo::default();
        self.end_message = Memo::default();
        self.changes = None;
    }

    /// The job's line.
    pub(super) fn line(&self) -> Line {
        Line {
            facts: self.facts.clone(),
            elapsed: self.elapsed,
            error: self.reason.clone(),
            ended: self.ended,
        }
    }

    /// Moves to the next version.
    pub(super) fn advance(&mut self) -> u64 {
        self.version = self.versions.next();
        self.version
    }

    /// Takes in what a file says; whether it is news.
    pub(super) fn take_in(&mut self, content: Content) -> bool {
        match content {
            Content::Master(master, warnings) => {
                let news = self.set_warnings(JobFile::Master, warnings)
                    | (self.master.as_ref() != Some(&master));
                if news {
                    self.blocks.note_pending();
                }
                self.master = Some(master);
                news
            }
            Content::Repository(status, warnings) => {
                let index = status.index;
                let news = self.unreadable.remove(&index)
                    | self.set_warnings(JobFile::Repository(index), warnings)
                    | self.repositories.get(&index).is_none_or(|old| old.status != status);
                if news {
                    self.insert(status);
                }
                news
            }
        }
    }

    pub(super) fn insert(&mut self, status: RepositoryStatus) {
        let (index, version) = (status.index, self.advance());
        let old = self.repositories.remove(&index);
        self.blocks.note(old.as_ref().map(|it| &it.status), Some(&status));
        if let Some(old) = old {
            self.uncount(&old.status);
            self.order.remove(&old.version);
        }
        self.place(status, version);
    }

    /// Puts a repository where there is none.
    fn place(&mut self, status: RepositoryStatus, version: u64) {
        self.count(&status);
        self.order.insert(version, Part::Repository(status.index));
        self.repositories.insert(status.index, Entry { status, version, message: None });
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
            url: shared(self.facts.url.as_ref(), master.and_then(|it| it.group_url.as_deref())),
            state,
            summary,
            started_at: master.and_then(|it| it.started_at),
            completed_at: master.and_then(|it| it.completed_at),
            error: shared(self.facts.error.as_ref(), master.and_then(|it| it.error.as_deref())),
            fraction: progress::fraction(&summary, partly),
        };
        let same_line = facts.has_line_of(&self.facts);
        if facts.summary.pending != self.facts.summary.pending {
            self.blocks.note_pending();
        }
        self.elapsed.note(facts.started_at, facts.completed_at, Moment::now());
        self.facts = facts;
        self.reason = self.reason();
        // Warnings and the like are in the document alone, but they are news to it.
        self.advance();
        if !same_line {
            self.order.remove(&self.job_version);
            self.job_version = self.version;
            self.order.insert(self.version, Part::Job);
        }
    }
}

impl Data {
    fn reason(&self) -> Option<Arc<str>> {
        if self.facts.state.coarse() != "failed" {
            return None;
        }
        let first = || self.repositories.get(self.failed.first()?)?.status.error.as_deref();
        self.facts.error.clone().or_else(|| shared(self.reason.as_ref(), first()))
    }
}

/// A text that many copies share: the one that is known, where it is the same.
fn shared(known: Option<&Arc<str>>, text: Option<&str>) -> Option<Arc<str>> {
    let text = text?;
    Some(known.filter(|it| ***it == *text).map_or_else(|| text.into(), Arc::clone))
}

const MILLION: f64 = 1e6;

/// How much of a repository at work is done.
fn millionths(status: &RepositoryStatus) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
    let parts = (status.fraction().clamp(0.0, 1.0) * MILLION).round() as u64;
    parts
}
