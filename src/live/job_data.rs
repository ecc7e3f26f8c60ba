//! The content of the files of one job, with counts and in the order of its versions.
//!
//! Input: parsed files, or packed data. Output: facts, counts and versions of the job and its
//! repositories; packed data.
//!
//! Invariants: every part has exactly one entry in `order`, its newest; the counts match the newest
//! states; every change increases the version; the cost of a change does not depend on the size of
//! the job.

use super::{
    elapsed::{Elapsed, Moment},
    file_content::FileContent,
    job_index::JobRow,
    ledger::Ledger,
    messages::{Memo, Shared},
    packed::{self, JobFiles},
    progress_document::{Blocks, Content, Pieces},
    versions::Versions,
};
use crate::{
    model::{
        JobId, RepoState,
        master::Master,
        progress::{self, JobFacts, Lists},
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
pub(super) struct JobData {
    pub(super) master: Option<Master>,
    pub(super) repositories: BTreeMap<u32, RepositoryEntry>,
    /// The files that exist, but have never been read successfully.
    pub(super) unreadable: BTreeSet<u32>,
    /// The repositories that failed.
    pub(super) failed: BTreeSet<u32>,
    /// The completed part of the running repositories, in millionths of a repository, so that
    /// adding and subtracting loses nothing.
    parts: u64,
    /// The counted states; the total is the number of files.
    pub(super) counted: Summary,
    pub(super) warnings: BTreeMap<JobFile, Vec<String>>,
    pub(super) facts: JobFacts,
    /// Why the job failed: its own error, else the error of its first failed repository.
    reason: Option<Arc<str>>,
    pub(super) elapsed: Elapsed,
    /// The blocks of the progress document.
    pub(super) blocks: Blocks,
    versions: Versions,
    /// The first version: a reader with an older cursor knows another job of the same id.
    pub(super) born: u64,
    pub(super) version: u64,
    /// The part that got each version; every part has one entry, its newest.
    pub(super) order: BTreeMap<u64, Part>,
    pub(super) job_version: u64,
    pub(super) job_message: Memo,
    pub(super) end_message: Memo,
    /// The final state has been published; nothing more is expected.
    pub(super) ended: bool,
    /// Wakes readers that wait for the next version; made for the first of them.
    pub(super) changes: Option<watch::Sender<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Job,
    Repository(u32),
}

#[derive(Debug)]
pub(super) struct RepositoryEntry {
    pub(super) status: RepositoryStatus,
    pub(super) version: u64,
    /// The data of its message, made for the first reader.
    pub(super) message: Option<Shared>,
}

impl AsRef<RepositoryStatus> for RepositoryEntry {
    fn as_ref(&self) -> &RepositoryStatus {
        &self.status
    }
}

impl JobData {
    /// The data of a job of which no file has been read.
    pub(super) fn new(id: JobId, versions: Versions) -> Self {
        let born = versions.next();
        let files = JobFiles { born, version: born, job_version: born, ..JobFiles::default() };
        Self::of(files, JobRow::new(id), versions)
    }

    /// The data of a job with this content of its files and this row.
    fn of(files: JobFiles, row: JobRow, versions: Versions) -> Self {
        let JobFiles { master, repositories, unreadable, warnings, born, version, job_version } =
            files;
        let mut data = Self {
            master,
            repositories: BTreeMap::new(),
            unreadable,
            failed: BTreeSet::new(),
            parts: 0,
            counted: Summary::default(),
            warnings,
            facts: row.facts,
            reason: row.error,
            elapsed: row.elapsed,
            blocks: Blocks::new(),
            versions,
            born,
            version,
            order: BTreeMap::from([(job_version, Part::Job)]),
            job_version,
            job_message: Memo::default(),
            end_message: Memo::default(),
            ended: row.ended,
            changes: None,
        };
        data.warnings.keys().for_each(|file| data.blocks.note_warnings(*file));
        for (status, version) in repositories {
            data.blocks.note(None, Some(&status));
            data.place(status, version);
        }
        data
    }

    /// Unpacks the data of a job with this row.
    pub(super) fn unpack(bytes: &[u8], row: JobRow, versions: Versions) -> Self {
        Self::of(packed::unpack(bytes, &row.facts), row, versions)
    }

    /// Packs the content of the files.
    pub(super) fn pack(self) -> Box<[u8]> {
        let repositories =
            self.repositories.into_values().map(|entry| (entry.status, entry.version));
        let files = JobFiles {
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

    /// Drops everything that can be made again.
    pub(super) fn drop_derived(&mut self) {
        self.blocks.release();
        self.repositories.values_mut().for_each(|entry| entry.message = None);
        self.job_message = Memo::default();
        self.end_message = Memo::default();
        self.changes = None;
    }

    /// The pieces of the newest progress document.
    pub(super) fn document(&mut self, ledger: &Ledger, lists: Lists, elapsed: u64) -> Pieces {
        let Self { blocks, facts, master, repositories, warnings, version, .. } = self;
        let master = master.as_ref();
        let content = Content { facts, master, repositories, warnings, version: *version };
        blocks.pieces(&content, ledger, lists, elapsed)
    }

    /// The row of the job.
    pub(super) fn row(&self) -> JobRow {
        JobRow {
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

    /// Stores the content of a file. Returns whether it changed.
    pub(super) fn take_in(&mut self, content: FileContent) -> bool {
        match content {
            FileContent::Master(master, warnings) => {
                let changed = self.set_warnings(JobFile::Master, warnings)
                    | (self.master.as_ref() != Some(&*master));
                if changed {
                    self.blocks.note_pending();
                }
                self.master = Some(*master);
                changed
            }
            FileContent::Repository(status, warnings) => {
                let index = status.index;
                let changed = self.unreadable.remove(&index)
                    | self.set_warnings(JobFile::Repository(index), warnings)
                    | self.repositories.get(&index).is_none_or(|old| old.status != status);
                if changed {
                    self.insert(status);
                }
                changed
            }
        }
    }

    pub(super) fn insert(&mut self, status: RepositoryStatus) {
        let (index, version) = (status.index, self.advance());
        let old = self.repositories.remove(&index);
        self.blocks.note(old.as_ref().map(|entry| &entry.status), Some(&status));
        if let Some(old) = old {
            self.uncount(&old.status);
            self.order.remove(&old.version);
        }
        self.place(status, version);
    }

    /// Adds a repository that is not there yet.
    fn place(&mut self, status: RepositoryStatus, version: u64) {
        self.count(&status);
        self.order.insert(version, Part::Repository(status.index));
        self.repositories.insert(status.index, RepositoryEntry { status, version, message: None });
    }

    /// Removes a repository. Returns whether there was one.
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
            RepoState::Completed => {
                self.counted.completed += 1;
                self.counted.reused += u64::from(status.reused_from.is_some());
            }
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
            RepoState::Completed => {
                self.counted.completed -= 1;
                self.counted.reused -= u64::from(status.reused_from.is_some());
            }
            RepoState::Failed | RepoState::TimedOut | RepoState::Cancelled => {
                self.counted.failed -= 1;
                self.failed.remove(&status.index);
            }
        }
    }

    pub(super) fn set_warnings(&mut self, file: JobFile, warnings: Vec<String>) -> bool {
        let changed = if warnings.is_empty() {
            self.warnings.remove(&file).is_some()
        } else {
            self.warnings.insert(file, warnings.clone()) != Some(warnings)
        };
        if changed {
            self.blocks.note_warnings(file);
        }
        changed
    }

    /// Recomputes the row of the job, which gets a version of its own if it changed.
    pub(super) fn refresh(&mut self) {
        let files = (self.repositories.len() + self.unreadable.len()) as u64;
        let counted = Summary { total_repositories: files, ..self.counted };
        let summary = progress::totalled(self.master.as_ref(), counted);
        let master = self.master.as_ref();
        let state = progress::state(master, &summary);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let partly = self.parts as f64 / MILLION;
        let facts = JobFacts {
            id: self.facts.id.clone(),
            url: shared(
                self.facts.url.as_ref(),
                master.and_then(|master| master.group_url.as_deref()),
            ),
            state,
            summary,
            skipped: master.and_then(|master| master.skipped_repositories).unwrap_or(0),
            discovering: progress::is_discovering(master),
            discovery_errors: master.map_or(0, |master| master.discovery_errors_total),
            started_at: master.and_then(|master| master.started_at),
            folder_time: self.facts.folder_time,
            completed_at: master.and_then(|master| master.completed_at),
            error: shared(
                self.facts.error.as_ref(),
                master.and_then(|master| master.error.as_deref()),
            ),
            schedule: shared(
                self.facts.schedule.as_ref(),
                master.and_then(|master| master.schedule.as_deref()),
            ),
            fraction: progress::fraction(&summary, partly),
            paused: !state.is_final() && master.is_some_and(|master| master.paused),
            archived: self.facts.archived,
        };
        let same_row = facts.has_same_row_as(&self.facts);
        if facts.summary.pending != self.facts.summary.pending {
            self.blocks.note_pending();
        }
        self.elapsed.note(facts.started_at, facts.completed_at, Moment::now());
        self.facts = facts;
        self.reason = self.reason();
        // A change may affect only the document, such as warnings: the document gets a new version
        // anyway.
        self.advance();
        if !same_row {
            self.order.remove(&self.job_version);
            self.job_version = self.version;
            self.order.insert(self.version, Part::Job);
        }
        if self.ended {
            // The version of the final state is that of no part.
            self.advance();
        }
    }
}

impl JobData {
    fn reason(&self) -> Option<Arc<str>> {
        if self.facts.state.coarse() != "failed" {
            return None;
        }
        let first = || self.repositories.get(self.failed.first()?)?.status.error.as_deref();
        self.facts.error.clone().or_else(|| shared(self.reason.as_ref(), first()))
    }
}

/// A shared text: the known copy, if it is the same text.
fn shared(known: Option<&Arc<str>>, text: Option<&str>) -> Option<Arc<str>> {
    let text = text?;
    Some(known.filter(|known| ***known == *text).map_or_else(|| text.into(), Arc::clone))
}

const MILLION: f64 = 1e6;

/// The completed part of a running repository.
fn millionths(status: &RepositoryStatus) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
    let parts = (status.fraction().clamp(0.0, 1.0) * MILLION).round() as u64;
    parts
}
