//! The cache of all jobs, and the health of the watcher.
//!
//! Input: jobs and health reports from the watcher's thread. Output: jobs by id, pages of rows,
//! counts, and problems for `/health`.
//!
//! Invariants: only the watcher's thread adds, changes or removes a job; a look-up holds no lock of
//! the map after it returns.

use super::{
    EventId,
    follow::{ChangeSource, Ending, Follower},
    job::{LiveJob, SharedJob},
    job_index::JobIndex,
    sorted_jobs::Counts,
};
use crate::{
    measure::Histogram,
    model::{JobId, progress::JobFacts},
};
use dashmap::DashMap;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// From an immediate notification to a change that only a resync finds.
const LAG_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How many packed jobs may be open again at once. To open another, the first of them is packed
/// again.
pub(super) const MAX_REOPENED: usize = 256;

/// The cache. Any thread reads it; only the watcher's thread writes it.
#[derive(Debug)]
pub struct Live {
    jobs: DashMap<JobId, SharedJob>,
    /// The rows of all jobs, for readers of all jobs.
    job_index: Arc<JobIndex>,
    /// Packed jobs that were opened by a look-up, in the order of the look-ups.
    reopened: Mutex<VecDeque<SharedJob>>,
    ready: AtomicBool,
    health: Mutex<WatchHealth>,
    lag: Histogram,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchHealth {
    /// inotify is in use.
    pub notified: bool,
    /// Jobs that are polled because the inotify watch limit was reached.
    pub polled_jobs: usize,
    /// The current problems, as messages for people.
    pub problems: Vec<String>,
    pub resyncs: u64,
    /// How often the kernel reported lost events (a queue overflow).
    pub overflows: u64,
    /// Files that cannot be parsed at present.
    pub unreadable_files: u64,
    /// How often a file was read and could not be parsed.
    pub failed_reads: u64,
    pub panics: u64,
    /// When the last resync finished.
    pub last_resync: Option<Instant>,
}

impl Live {
    pub(super) fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            jobs: DashMap::new(),
            job_index: Arc::new(JobIndex::new(epoch)),
            reopened: Mutex::default(),
            ready: AtomicBool::new(false),
            health: Mutex::default(),
            lag: Histogram::new(LAG_BOUNDS),
        })
    }

    /// A job, if there is one.
    pub fn get(&self, id: &JobId) -> Option<Arc<LiveJob>> {
        // Cloned out of the guard, because a guard that is held over an await can deadlock.
        let job = self.jobs.get(id).map(|job| Arc::clone(&job))?;
        if job.take_reopened() {
            self.note_reopened(&job);
        }
        Some(job)
    }

    /// Records that a packed job was opened. A client that walks through all jobs does not keep
    /// them all open.
    fn note_reopened(&self, job: &SharedJob) {
        let first = {
            let mut reopened = self.reopened.lock().unwrap_or_else(PoisonError::into_inner);
            reopened.push_back(Arc::clone(job));
            if reopened.len() > MAX_REOPENED { reopened.pop_front() } else { None }
        };
        if let Some(first) = first {
            first.pack_unless_followed();
        }
    }

    /// How wrong the estimates of finished jobs were, as fractions of the truth, by the percentage of the
    /// job at which clients saw them.
    pub fn estimate_errors(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.job_index.estimate_errors().by_mark()
    }

    /// All jobs, in no order.
    pub fn all(&self) -> Vec<Arc<LiveJob>> {
        self.jobs.iter().map(|job| Arc::clone(&job)).collect()
    }

    /// Packs the jobs that have neither been requested nor changed since the last call. Each job is
    /// locked separately, for less than a millisecond.
    pub fn pack_idle(&self) {
        self.all().iter().for_each(|job| job.pack_if_idle());
    }

    /// Follows all jobs until `end` completes. `last`: the newest event that a returning reader has
    /// seen.
    pub fn follow<G>(
        &self,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Follower<G> {
        Follower::new(self.job_index.clone(), last, end, guard)
    }

    /// A channel that wakes at each change of a job's row (its state, its counts) or final state.
    pub fn changes(&self) -> watch::Receiver<u64> {
        ChangeSource::changes(&*self.job_index)
    }

    /// Calls `read` with the facts and the error of the jobs at these positions, newest first, in
    /// one coarse state or in all. Also returns how many jobs there are in total.
    pub fn page<T>(
        &self,
        state: Option<&str>,
        places: Range<usize>,
        read: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        self.job_index.page(state, places, read)
    }

    /// As [`page`](Self::page), of the job with this id or, if there is none, of the jobs whose ids
    /// begin or end with this text. Visits every id; a writer waits at most while one shard of the map
    /// is visited.
    pub fn page_of_ids<T>(
        &self,
        text: &str,
        state: Option<&str>,
        places: Range<usize>,
        read: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        let exact = text.parse::<JobId>().ok().and_then(|id| Some(self.jobs.get(&id)?.entry()));
        let fits = |id: &JobId| id.as_str().starts_with(text) || id.as_str().ends_with(text);
        let entries = if let Some(entry) = exact {
            vec![entry]
        } else {
            let found = self.jobs.iter().filter(|job| fits(job.key()));
            found.map(|job| job.entry()).collect()
        };
        JobIndex::page_among(&entries, state, places, read)
    }

    /// As [`page`](Self::page), of the jobs that fit. Visits every job; a writer waits at most while one shard of the
    /// map, or its own row, is visited.
    pub fn page_of_fitting<T>(
        &self,
        fits: impl Fn(&JobFacts) -> bool,
        state: Option<&str>,
        places: Range<usize>,
        read: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        let entries = self.jobs.iter().map(|job| job.entry());
        let fitting = entries.filter(|entry| entry.with_row(|row| fits(&row.facts)));
        JobIndex::page_among(&fitting.collect::<Vec<_>>(), state, places, read)
    }

    /// How many jobs and repositories are in which state.
    pub fn counts(&self) -> Counts {
        self.job_index.counts()
    }

    /// The jobs whose row or final state changed after a version, the oldest change first, and whether a job was removed
    /// since; with the newest version that this includes. A reader that starts with version 0 gets all jobs.
    pub fn changed_after(&self, version: u64) -> (Vec<JobId>, bool, u64) {
        self.job_index.changed_after(version)
    }

    /// How many jobs are in the cache.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether everything on the disk has been read once.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub fn health(&self) -> WatchHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time from the change of a file to its place in the cache.
    pub fn lag(&self) -> &Histogram {
        &self.lag
    }

    /// Records the time since a file changed. Files that are found at the start are not counted,
    /// because they say nothing about the watcher.
    pub(super) fn observe_lag(&self, changed_at: SystemTime) {
        if self.is_ready() {
            // 0 if the clock was set back meanwhile.
            self.lag.observe(changed_at.elapsed().unwrap_or_default());
        }
    }

    /// Why the service is degraded on this side; empty if it is not. A long overdue resync is a
    /// problem: the watcher's thread hangs or has ended.
    pub fn problems(&self, resync_interval: Duration) -> Vec<String> {
        let health = self.health();
        let mut problems = health.problems;
        let overdue = resync_interval * 3 + Duration::from_secs(5);
        if health.last_resync.is_some_and(|at| at.elapsed() > overdue) {
            problems.push(
                "the last resync of the jobs folder is long overdue: the disk or the watcher hangs"
                    .to_owned(),
            );
        }
        if health.polled_jobs > 0 {
            problems.push(format!(
                "{} jobs are polled: the inotify watch limit is reached; raise fs.inotify.max_user_watches",
                health.polled_jobs
            ));
        }
        problems
    }

    /// The job with this id. An existing job is kept, because after a panic of the watcher its
    /// streams still depend on it.
    pub(super) fn insert(&self, id: &JobId) -> SharedJob {
        let new = || Arc::new(LiveJob::new(id.clone(), Arc::clone(&self.job_index)));
        Arc::clone(&self.jobs.entry(id.clone()).or_insert_with(new))
    }

    /// Adds a job that was read before it was in the cache.
    pub(super) fn insert_read(&self, job: SharedJob) {
        self.jobs.insert(job.id().clone(), job);
    }

    /// The index that new jobs need.
    pub(super) fn job_index(&self) -> &Arc<JobIndex> {
        &self.job_index
    }

    pub(super) fn remove(&self, id: &JobId) {
        if let Some((_, job)) = self.jobs.remove(id) {
            job.remove();
        }
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut WatchHealth)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_an_id_again_returns_the_same_job() {
        let live = Live::new(1);
        let id = "job".parse().unwrap();
        let first = live.insert(&id);
        assert!(
            Arc::ptr_eq(&first, &live.insert(&id)),
            "streams of the first job would get no changes"
        );
        live.remove(&id);
        assert!(!Arc::ptr_eq(&first, &live.insert(&id)));
    }
}
