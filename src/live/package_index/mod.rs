//! The index of the packages of a job, over all its repositories.
//!
//! Input: a job, and the result files of its completed repositories. Output: which packages fit a name, a part of a
//! name, an ecosystem, a range of versions, and where they are in the result files; what a repository has.
//!
//! Invariants: an index is built on the first request, in steps, and extended when further repositories are completed;
//! it is dropped after a minute without a request, or to make room, the one first that was not requested for the longest
//! time; all together have at most [`BUDGET`]. One that a request uses stays; a request that needs more room than there is
//! is refused. A result with one invalid package has none.

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
    #[error("the indexes of this and other searches need more than {} MiB of memory", BUDGET >> 20)]
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

    /// Reads results until the index is complete or `until` has passed; returns whether it is complete. Blocks.
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
        if self.make_room(job.id()) { done } else { Err(Unindexed::TooLarge) }
    }

    /// Drops the indexes that were not requested recently, and those of removed jobs.
    pub fn forget_idle(&self) {
        let is_kept = |entry: &Entry| {
            let is_recent = entry.requested_at.elapsed() < KEPT_FOR;
            entry.is_used() || (is_recent && entry.index.job.strong_count() > 0)
        };
        let mut jobs = self.lock();
        jobs.retain(|_, entry| is_kept(entry));
        jobs.shrink_to_fit();
    }

    /// Drops unused indexes of other jobs until all are within the budget; returns whether they are.
    fn make_room(&self, requested: &JobId) -> bool {
        let mut jobs = self.lock();
        loop {
            let bytes = jobs.values().map(|entry| entry.index.bytes.load(Ordering::Relaxed));
            if bytes.sum::<usize>() <= BUDGET {
                return true;
            }
            let unused = jobs.iter().filter(|(id, entry)| *id != requested && !entry.is_used());
            let oldest = unused.min_by_key(|(_, entry)| entry.requested_at);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { return false };
            jobs.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether a request has the index, whose memory would stay if it was dropped here.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.index) > 1
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::JobsDir;

    /// Breaks if an index that is used is not counted any more, or one that nobody uses keeps others out.
    #[test]
    fn used_indexes_stay_and_count() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        let indexes = PackageIndexes::new(Arc::new(Results::new(jobs)));
        let add = |parts: usize, seconds: u64| {
            let bytes = AtomicUsize::new(BUDGET / 4 * parts);
            let index = PackageIndex { job: Weak::new(), content: Mutex::default(), bytes };
            let index = Arc::new(index);
            let requested_at = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
            let id = JobId::generate();
            let entry = Entry { index: Arc::clone(&index), requested_at };
            indexes.lock().insert(id.clone(), entry);
            (id, index)
        };
        let (oldest, used) = add(2, 30);
        let (unused, index) = add(1, 20);
        drop(index);
        let (requested, own) = add(1, 0);
        assert!(indexes.make_room(&requested), "the budget is not exceeded");
        own.bytes.store(BUDGET / 4 * 2, Ordering::Relaxed);
        assert!(indexes.make_room(&requested), "there is room without the unused one");
        assert!(!indexes.lock().contains_key(&unused) && indexes.lock().contains_key(&oldest));
        own.bytes.store(BUDGET / 4 * 3, Ordering::Relaxed);
        assert!(!indexes.make_room(&requested), "what is used stays in memory");
        indexes.forget_idle();
        assert_eq!(indexes.lock().len(), 2);
        drop(used);
        assert!(indexes.make_room(&requested));
        assert!(!indexes.lock().contains_key(&oldest));
    }
}
