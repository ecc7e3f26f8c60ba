//! All jobs that are known, and how well the disk is being watched.

use super::{
    EventId,
    board::Board,
    follow::{Ending, Follower},
    job::{LiveJob, SharedJob},
    listing::Counts,
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

/// From a notification that comes at once to a change that only a resync finds.
const LAG_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How many jobs are open that were packed. For the next one, the first of them is packed again.
pub(super) const MOST_ROUSED: usize = 256;

/// The cache. Everybody reads it; only the watcher's thread writes it.
#[derive(Debug)]
pub struct Live {
    jobs: DashMap<JobId, SharedJob>,
    /// A line of each, for those who follow all.
    board: Arc<Board>,
    /// Those that were packed and have been looked up since, the first one first.
    roused: Mutex<VecDeque<SharedJob>>,
    ready: AtomicBool,
    health: Mutex<WatchHealth>,
    lag: Histogram,
}

/// How the disk is being watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchHealth {
    /// Notifications of the kernel are in use.
    pub notified: bool,
    /// Jobs that are looked at instead, for want of watches.
    pub polled_jobs: usize,
    /// What is wrong, in words, if anything is.
    pub problems: Vec<String>,
    pub resyncs: u64,
    /// How often the kernel said that it lost events.
    pub overflows: u64,
    /// Files that could not be understood.
    pub unreadable_files: u64,
    /// How often a file was read and could not be understood.
    pub failed_reads: u64,
    pub panics: u64,
    /// When everything known was last compared with the disk.
    pub last_resync: Option<Instant>,
}

impl Live {
    pub(super) fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            jobs: DashMap::new(),
            board: Arc::new(Board::new(epoch)),
            roused: Mutex::default(),
            ready: AtomicBool::new(false),
            health: Mutex::default(),
            lag: Histogram::new(LAG_BOUNDS),
        })
    }

    /// A job, if there is one.
    pub fn get(&self, id: &JobId) -> Option<Arc<LiveJob>> {
        // Cloned out of the guard: holding that over an await can deadlock.
        let job = self.jobs.get(id).map(|it| Arc::clone(&it))?;
        if job.is_roused() {
            self.note_roused(&job);
        }
        Some(job)
    }

    /// A job that was packed is opened. Who walks through all jobs does not have all of them open.
    fn note_roused(&self, job: &SharedJob) {
        let first = {
            let mut roused = self.roused.lock().unwrap_or_else(PoisonError::into_inner);
            roused.push_back(Arc::clone(job));
            if roused.len() > MOST_ROUSED { roused.pop_front() } else { None }
        };
        if let Some(first) = first {
            first.rest_unless_followed();
        }
    }

    /// All jobs, in no order.
    pub fn all(&self) -> Vec<Arc<LiveJob>> {
        self.jobs.iter().map(|it| Arc::clone(&it)).collect()
    }

    /// Packs the jobs that nobody has asked for, and of which nothing has changed, since the last
    /// time that this was called. Each is locked for itself, for less than a millisecond.
    pub fn rest_idle(&self) {
        self.all().iter().for_each(|job| job.rest_if_idle());
    }

    /// Follows all jobs until `end`: a reader that joins, or that comes back with `last` seen.
    pub fn follow<G>(
        &self,
        last: Option<EventId>,
        end: impl Future<Output = Ending> + Send + 'static,
        guard: G,
    ) -> Follower<G> {
        Follower::new(self.board.clone(), last, end, guard)
    }

    /// Shows the jobs at these places, newest first, of one coarse state or of all: facts, and why it
    /// failed. And says how many there are.
    pub fn page<T>(
        &self,
        state: Option<&str>,
        places: Range<usize>,
        look: impl Fn(&JobFacts, Option<&str>) -> T,
    ) -> (Vec<T>, usize) {
        self.board.page(state, places, look)
    }

    /// How many jobs and repositories are in which state.
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }

    /// How many jobs are known.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job is known.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether everything on the disk has been read once.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How the disk is being watched.
    pub fn health(&self) -> WatchHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the change of a file to its place in the cache.
    pub fn lag(&self) -> &Histogram {
        &self.lag
    }

    /// A file that was changed then has just been taken in. What is found at the start says nothing
    /// of the watcher.
    pub(super) fn note_taken_in(&self, changed_at: SystemTime) {
        if self.is_ready() {
            // A clock that was set back meanwhile makes it 0.
            self.lag.observe(changed_at.elapsed().unwrap_or_default());
        }
    }

    /// Why the service is degraded on this side; empty if it is not. A comparison with the disk
    /// that is long overdue is a reason: the reader hangs, or is gone.
    pub fn problems(&self, resync_interval: Duration) -> Vec<String> {
        let health = self.health();
        let mut problems = health.problems;
        let overdue = resync_interval * 3 + Duration::from_secs(5);
        if health.last_resync.is_some_and(|at| at.elapsed() > overdue) {
            problems.push("the jobs folder has not been compared for a long time".to_owned());
        }
        if health.polled_jobs > 0 {
            problems.push(format!(
                "{} jobs are polled: the kernel's watches ran out (fs.inotify.max_user_watches)",
                health.polled_jobs
            ));
        }
        problems
    }

    /// A job of this name: the one that is known (to a reader that begins anew after a panic, its
    /// streams hang on that one), or a new one.
    pub(super) fn insert(&self, id: &JobId) -> SharedJob {
        let new = || Arc::new(LiveJob::new(id.clone(), Arc::clone(&self.board)));
        Arc::clone(&self.jobs.entry(id.clone()).or_insert_with(new))
    }

    /// A job that has been read before it was known.
    pub(super) fn insert_read(&self, job: SharedJob) {
        self.jobs.insert(job.id().clone(), job);
    }

    /// What jobs are made with.
    pub(super) fn board(&self) -> &Arc<Board> {
        &self.board
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
    fn a_job_that_is_known_stays_the_same_one() {
        let live = Live::new(1);
        let id = "job".parse().unwrap();
        let first = live.insert(&id);
        assert!(Arc::ptr_eq(&first, &live.insert(&id)), "streams of the first would starve");
        live.remove(&id);
        assert!(!Arc::ptr_eq(&first, &live.insert(&id)));
    }
}
