//! Idle jobs: finished jobs that have not changed for a resync interval.
//!
//! Input: folders, and time. Output: idle jobs that have changed without an event, queued for a
//! scan.
//!
//! Invariants: a resync spends only a small part of its interval on them, however many there are:
//! it continues where the previous one stopped, so that each job has its turn.

use super::{JobsReader, TURN};
use crate::{
    live::watcher::folder::{Folder, Watch},
    model::JobId,
    store::{io_error::is_absence, open_folder::OpenFolder},
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

/// The part (1/n) of the interval that is spent on finding files that were created, removed or
/// replaced: enough for about forty thousand jobs in the ten seconds of the default.
const FOR_NAMES: u32 = 250;
/// The part (1/n) that is spent on finding files that were changed in place, which takes a system
/// call per file.
const FOR_FILES: u32 = 500;

/// The progress of the checks of idle jobs.
#[derive(Debug, Default)]
pub(super) struct IdleChecks {
    names: CheckRound,
    files: CheckRound,
}

#[derive(Debug, Default)]
struct CheckRound {
    /// The job that was checked last.
    last: Option<JobId>,
    /// How many jobs remain to be checked, and for how long.
    left: usize,
    time: Duration,
}

impl IdleChecks {
    /// Prepares the checks of a new resync.
    pub(super) fn begin(&mut self, jobs: usize, interval: Duration) {
        for (round, part) in [(&mut self.names, FOR_NAMES), (&mut self.files, FOR_FILES)] {
            (round.left, round.time) = (jobs, interval / part);
        }
    }

    pub(super) fn are_done(&self) -> bool {
        self.names.is_done() && self.files.is_done()
    }
}

impl CheckRound {
    fn is_done(&self) -> bool {
        self.left == 0 || self.time.is_zero()
    }

    /// Checks jobs until the end of the turn, or of the time for these checks. Returns those that
    /// have changed.
    fn turn<T>(
        &mut self,
        jobs: &BTreeMap<JobId, T>,
        has_changed: impl Fn(&JobId, &T) -> bool,
    ) -> Vec<JobId> {
        let begun = Instant::now();
        let end = begun + self.time.min(TURN);
        let from = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut changed = Vec::new();
        for (id, job) in jobs.range((from, Bound::Unbounded)).take(self.left) {
            self.left -= 1;
            if has_changed(id, job) {
                changed.push(id.clone());
            }
            if Instant::now() >= end {
                self.last = Some(id.clone());
                break;
            }
        }
        if jobs.is_empty() {
            // No job is idle any more.
            self.left = 0;
        }
        self.time = self.time.saturating_sub(begun.elapsed());
        changed
    }
}

impl JobsReader {
    /// Makes a job idle if it is finished and quiet: its watch is removed, and only little is kept.
    pub(super) fn make_idle_if_finished(&mut self, id: &JobId) {
        let is_over =
            |folder: &&mut Folder| folder.scan.is_none() && folder.is_over_and_quiet(&self.options);
        let Some(folder) = self.folders.get_mut(id).filter(is_over) else { return };
        // No event will report its changes from now on, so its final state is published now.
        folder.job.finalize(true);
        let idle = folder.to_idle();
        let (dir, watch) = (folder.dir.clone(), std::mem::replace(&mut folder.watch, Watch::Off));
        self.unwatch(&dir, watch);
        if let Some(idle) = idle {
            self.folders.remove(id);
            self.idle.insert(idle.job.id().clone(), Arc::new(idle));
            self.idle_changed = true;
        }
    }

    /// Makes an idle job active: it is read again if it has changed.
    pub(super) fn wake(&mut self, id: &JobId) -> Option<&mut Folder> {
        let idle = self.idle.remove(id)?;
        self.idle_changed = true;
        let folder = Folder::of_idle(&idle, self.jobs.job(id));
        Some(self.folders.entry(id.clone()).or_insert(folder))
    }

    /// Makes all idle jobs active, because nothing that was known of their folders is valid any
    /// more.
    pub(super) fn wake_all(&mut self) {
        for (id, idle) in std::mem::take(&mut self.idle) {
            let folder = Folder::of_idle(&idle, self.jobs.job(&id));
            self.folders.insert(id, folder);
        }
    }

    /// A turn for the checks of idle jobs.
    pub(super) fn check_idle(&mut self) {
        let Ok(root) = OpenFolder::open(self.jobs.root()) else {
            // The check of the jobs folder reports what is wrong with it.
            self.idle_checks.begin(0, Duration::ZERO);
            return self.end_resync_if_done();
        };
        if !self.idle_checks.names.is_done() {
            let changed = self.idle_checks.names.turn(&self.idle, |id, idle| {
                match root.signature_of_folder(id.as_str()) {
                    Ok(now) => !idle.is_as_listed(&now),
                    Err(error) => is_absence(&error),
                }
            });
            for id in &changed {
                self.queue.queue_scan(id);
            }
        } else if !self.idle_checks.files.is_done() {
            let changed =
                self.idle_checks.files.turn(&self.idle, |id, idle| !idle.has_its_files(&root, id));
            for id in &changed {
                if let Some(folder) = self.wake(id) {
                    // All its files have to be checked.
                    folder.listed = None;
                }
                self.queue.queue_scan(id);
            }
        }
        self.end_resync_if_done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Fails if jobs at the end of the order are never checked, or if the checks of many jobs take
    /// proportionally long.
    #[test]
    fn each_job_is_checked_and_no_resync_exceeds_its_part() {
        let jobs: BTreeMap<JobId, Cell<usize>> = (0..100)
            .map(|number| (format!("job-{number}").parse().unwrap(), Cell::new(0)))
            .collect();
        let compare = |_: &JobId, compared: &Cell<usize>| {
            compared.set(compared.get() + 1);
            std::thread::sleep(Duration::from_micros(200));
            false
        };
        let mut idle_checks = IdleChecks::default();
        let mut comparisons = 0;
        while jobs.values().any(|checked| checked.get() == 0) {
            idle_checks.begin(jobs.len(), Duration::from_millis(1) * FOR_NAMES);
            let before: usize = jobs.values().map(Cell::get).sum();
            while !idle_checks.names.is_done() {
                assert!(idle_checks.names.turn(&jobs, compare).is_empty());
            }
            let compared = jobs.values().map(Cell::get).sum::<usize>() - before;
            assert!((1..=20).contains(&compared), "{compared} in a millisecond");
            comparisons += 1;
        }
        // The last resync may have had the time to start over.
        assert!(
            comparisons >= 5 && jobs.values().all(|checked| checked.get() <= 2),
            "{comparisons}"
        );
    }

    /// Fails if a resync with enough time does not check every job, wherever the previous one
    /// stopped.
    #[test]
    fn with_enough_time_every_resync_checks_every_job() {
        let ids = ["a", "b", "c", "d"].map(|id| id.parse::<JobId>().unwrap());
        let jobs: BTreeMap<JobId, u8> = ids.iter().map(|id| (id.clone(), 0)).collect();
        for last in [None, Some("a"), Some("c"), Some("d"), Some("x")] {
            let mut idle_checks = IdleChecks::default();
            idle_checks.names.last = last.map(|id| id.parse().unwrap());
            idle_checks.begin(jobs.len(), Duration::from_hours(1));
            let mut changed = Vec::new();
            while !idle_checks.names.is_done() {
                changed.extend(idle_checks.names.turn(&jobs, |_, _| true));
            }
            changed.sort();
            assert_eq!(changed, ids, "after {last:?}");
        }
        let mut idle_checks = IdleChecks::default();
        idle_checks.begin(3, Duration::from_hours(1));
        idle_checks.names.turn(&BTreeMap::<JobId, u8>::new(), |_, _| true);
        assert!(idle_checks.names.is_done(), "no job is idle any more");
    }
}
