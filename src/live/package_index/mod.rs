//! The index of the packages of a job, over all its repositories.
//!
//! Input: a job, and the result files of its completed repositories. Output: which packages fit a name, a part of a
//! name, an ecosystem, a range of versions, and where they are in the result files; what a repository has.
//!
//! Invariants: an index is built on the first request, in steps, and extended when further repositories are completed;
//! it is dropped after a minute without a request, or if it is the one that was not requested for the longest time and all
//! together have more than [`BUDGET`]; a result with one invalid package has none. An index that alone has more
//! than the budget is refused.

mod interner;
mod reader;
mod table;

pub use table::{FoundRow, FoundRows, PackageQuery};

use super::{LiveJob, Results};
use crate::model::{JobId, RepoState, ecosystem::AnyEcosystem};
use reader::Reader;
use std::{
    collections::HashMap,
    io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use table::Table;

/// The maximum size of all indexes, in bytes: about 15 million packages.
const BUDGET: usize = 512 << 20;
/// How long an index is kept after its last request.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// The indexes of the jobs whose packages were requested.
#[derive(Debug)]
pub struct PackageIndexes {
    results: Arc<Results>,
    jobs: Mutex<HashMap<JobId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    index: Arc<PackageIndex>,
    requested_at: Instant,
}

/// The index of one job.
#[derive(Debug)]
pub struct PackageIndex {
    /// A job that was created later with the same id is another job.
    job: Weak<LiveJob>,
    content: Mutex<Content>,
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Content {
    table: Table,
    reader: Reader,
}

/// Why an index has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unindexed {
    #[error("the packages of the job need more than {} MiB of memory to search", BUDGET >> 20)]
    TooLarge,
    #[error("a result cannot be read")]
    Io(#[from] io::Error),
}

/// A repository whose packages are not in the index.
#[derive(Debug)]
pub struct Unindexable {
    pub repository: u32,
    pub name: String,
    pub state: RepoState,
}

impl PackageIndexes {
    /// No index.
    pub fn new(results: Arc<Results>) -> Self {
        Self { results, jobs: Mutex::default() }
    }

    /// The index of a job, which may have nothing yet.
    pub fn of(&self, job: &Arc<LiveJob>) -> Arc<PackageIndex> {
        let mut jobs = self.lock();
        let new =
            || Entry { index: Arc::new(PackageIndex::new(job)), requested_at: Instant::now() };
        let entry = jobs.entry(job.id().clone()).or_insert_with(new);
        if !std::ptr::eq(entry.index.job.as_ptr(), Arc::as_ptr(job)) {
            *entry = new();
        }
        entry.requested_at = Instant::now();
        Arc::clone(&entry.index)
    }

    /// Reads results until the index is complete or the time is over; returns whether it is complete. Blocks.
    ///
    /// # Errors
    /// If a result cannot be read for lack of resources, or the index would be too large.
    pub fn advance(
        &self,
        job: &LiveJob,
        index: &PackageIndex,
        until: Instant,
    ) -> Result<bool, Unindexed> {
        let mut content = index.lock();
        let Content { table, reader } = &mut *content;
        reader.refresh(job, table);
        let done = reader.read(job.id(), &self.results, table, until, BUDGET);
        index.bytes.store(table.bytes(), Ordering::Relaxed);
        drop(content);
        self.drop_oldest(job.id());
        done
    }

    /// Drops the indexes that were not requested recently, and those of removed jobs.
    pub fn forget_idle(&self) {
        let is_kept = |entry: &Entry| {
            entry.requested_at.elapsed() < KEPT_FOR && entry.index.job.strong_count() > 0
        };
        let mut jobs = self.lock();
        jobs.retain(|_, entry| is_kept(entry));
        jobs.shrink_to_fit();
    }

    /// Keeps the indexes within the budget, except for the index of this job.
    fn drop_oldest(&self, requested: &JobId) {
        let mut jobs = self.lock();
        loop {
            let bytes = jobs.values().map(|entry| entry.index.bytes.load(Ordering::Relaxed));
            if bytes.sum::<usize>() <= BUDGET {
                return;
            }
            let others = jobs.iter().filter(|(id, _)| *id != requested);
            let oldest = others.min_by_key(|(_, entry)| entry.requested_at);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { return };
            jobs.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PackageIndex {
    fn new(job: &Arc<LiveJob>) -> Self {
        Self { job: Arc::downgrade(job), content: Mutex::default(), bytes: AtomicUsize::new(0) }
    }

    /// Finds packages. `page`: which of the rows that fit are returned.
    pub fn search(&self, query: &PackageQuery, page: &Range<usize>) -> FoundRows {
        self.lock().table.search(query, page)
    }

    /// How many repositories were read, and those of the job that were not, at most `most` of them.
    pub fn coverage(&self, job: &LiveJob, most: usize) -> (usize, Vec<Unindexable>) {
        let content = self.lock();
        let missing = job.with_repositories(|all| {
            let missing = all.filter(|status| !content.table.has(status.index));
            let named = missing.map(|status| Unindexable {
                repository: status.index,
                name: status.display_name(),
                state: status.state,
            });
            named.take(most).collect()
        });
        (content.table.repositories(), missing)
    }

    /// Calls `visit` with ecosystem, name and version of each package of a repository; returns whether its result
    /// was read.
    pub fn packages(
        &self,
        repository: u32,
        mut visit: impl FnMut(&AnyEcosystem, &str, Option<&str>),
    ) -> bool {
        let content = self.lock();
        for (ecosystem, name, version) in content.table.packages(repository) {
            visit(ecosystem, name, version);
        }
        content.table.has(repository)
    }

    /// Reads the result of a repository again, because its file has changed.
    pub fn invalidate(&self, repository: u32) {
        let mut content = self.lock();
        let Content { table, reader } = &mut *content;
        table.remove(repository);
        reader.forget(repository);
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
