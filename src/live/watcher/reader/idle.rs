//! Jobs that are over and quiet: when they come to rest, how they are compared with the disk, and when
//! they wake.
//!
//! Input: folders, and time. Output: folders that have changed without a notification, on the agenda.
//! Invariants: a comparison of everything takes no more than a small part of its interval for them,
//! however many they are: it goes on where the last one ended, so that each has its turn.

use super::{Reader, TURN};
use crate::{
    live::watcher::folder::{Folder, Watch},
    model::JobId,
    store::{open_folder::OpenFolder, read::is_absence},
};
use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{Duration, Instant},
};

/// Which part of the interval is spent on asking whether files have come, gone or been replaced: some
/// forty thousand jobs in the ten seconds of the default.
const FOR_NAMES: u32 = 250;
/// And on whether a file has been changed in its place, which takes a question for each file.
const FOR_FILES: u32 = 500;

/// How far the comparisons of jobs that rest are.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    names: Round,
    files: Round,
}

#[derive(Debug, Default)]
struct Round {
    /// The job that was compared last.
    last: Option<JobId>,
    /// How many are to be compared, and for how long.
    left: usize,
    time: Duration,
}

impl Rounds {
    /// For a comparison of everything that begins now.
    pub(super) fn begin(&mut self, jobs: usize, interval: Duration) {
        for (round, part) in [(&mut self.names, FOR_NAMES), (&mut self.files, FOR_FILES)] {
            (round.left, round.time) = (jobs, interval / part);
        }
    }

    pub(super) fn are_done(&self) -> bool {
        self.names.is_done() && self.files.is_done()
    }
}

impl Round {
    fn is_done(&self) -> bool {
        self.left == 0 || self.time.is_zero()
    }

    /// Compares jobs until the turn is over, or this; returns those that have changed.
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
            // All have woken meanwhile.
            self.left = 0;
        }
        self.time = self.time.saturating_sub(begun.elapsed());
        changed
    }
}

impl Reader {
    /// Watches a job no more that is over and quiet, and keeps only little of it.
    pub(super) fn rest_if_over(&mut self, id: &JobId) {
        let is_over = |it: &&mut Folder| it.scan.is_none() && it.is_over_and_quiet(&self.options);
        let Some(folder) = self.folders.get_mut(id).filter(is_over) else { return };
        // From here on nobody tells of its changes, so what is quiet now has to be told now.
        folder.job.settle(true);
        let resting = folder.rest();
        let (dir, watch) = (folder.dir.clone(), std::mem::replace(&mut folder.watch, Watch::Off));
        self.unwatch(&dir, watch);
        if let Some(resting) = resting {
            self.folders.remove(id);
            self.resting.insert(resting.job.id().clone(), resting);
        }
    }

    /// A job that rests, if it does, is to be read again as far as it has changed.
    pub(super) fn wake(&mut self, id: &JobId) -> Option<&mut Folder> {
        let folder = self.resting.remove(id)?.wake(self.jobs.job(id));
        Some(self.folders.entry(id.clone()).or_insert(folder))
    }

    /// Nothing that was known of their folders holds any more.
    pub(super) fn wake_all(&mut self) {
        for (id, resting) in std::mem::take(&mut self.resting) {
            let folder = resting.wake(self.jobs.job(&id));
            self.folders.insert(id, folder);
        }
    }

    /// A turn for the jobs that rest.
    pub(super) fn compare_resting(&mut self) {
        let Ok(root) = OpenFolder::open(self.jobs.root()) else {
            // What is wrong with the jobs folder is found out by another comparison.
            self.rounds.begin(0, Duration::ZERO);
            return self.end_sweep();
        };
        if !self.rounds.names.is_done() {
            let changed = self.rounds.names.turn(&self.resting, |id, resting| {
                match root.signature_of_folder(id.as_str()) {
                    Ok(now) => !resting.is_as_listed(&now),
                    Err(error) => is_absence(&error),
                }
            });
            changed.iter().for_each(|id| self.agenda.scan(id));
        } else if !self.rounds.files.is_done() {
            let changed = self
                .rounds
                .files
                .turn(&self.resting, |id, resting| !resting.has_its_files(&root, id));
            for id in &changed {
                if let Some(folder) = self.wake(id) {
                    // Its files are all to be looked at.
                    folder.listed = None;
                }
                self.agenda.scan(id);
            }
        }
        self.end_sweep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Breaks if jobs at the end of the order are never compared, or if a comparison of many takes as
    /// long as they are many.
    #[test]
    fn each_job_has_its_turn_and_no_comparison_is_longer_than_its_part() {
        let jobs: BTreeMap<JobId, Cell<usize>> = (0..100)
            .map(|number| (format!("job-{number}").parse().unwrap(), Cell::new(0)))
            .collect();
        let compare = |_: &JobId, compared: &Cell<usize>| {
            compared.set(compared.get() + 1);
            std::thread::sleep(Duration::from_micros(200));
            false
        };
        let mut rounds = Rounds::default();
        let mut comparisons = 0;
        while jobs.values().any(|it| it.get() == 0) {
            rounds.begin(jobs.len(), Duration::from_millis(1) * FOR_NAMES);
            let before: usize = jobs.values().map(Cell::get).sum();
            while !rounds.names.is_done() {
                assert!(rounds.names.turn(&jobs, compare).is_empty());
            }
            let compared = jobs.values().map(Cell::get).sum::<usize>() - before;
            assert!((1..=20).contains(&compared), "{compared} in a millisecond");
            comparisons += 1;
        }
        // The last one may have had the time to begin again.
        assert!(comparisons >= 5 && jobs.values().all(|it| it.get() <= 2), "{comparisons}");
    }

    /// Breaks if a comparison that has the time does not reach every job, wherever the last one ended.
    #[test]
    fn with_time_enough_every_comparison_reaches_every_job() {
        let ids = ["a", "b", "c", "d"].map(|it| it.parse::<JobId>().unwrap());
        let jobs: BTreeMap<JobId, ()> = ids.iter().map(|id| (id.clone(), ())).collect();
        for last in [None, Some("a"), Some("c"), Some("d"), Some("x")] {
            let mut rounds = Rounds::default();
            rounds.names.last = last.map(|it| it.parse().unwrap());
            rounds.begin(jobs.len(), Duration::from_hours(1));
            let mut changed = Vec::new();
            while !rounds.names.is_done() {
                changed.extend(rounds.names.turn(&jobs, |_, ()| true));
            }
            changed.sort();
            assert_eq!(changed, ids, "after {last:?}");
        }
        let mut rounds = Rounds::default();
        rounds.begin(3, Duration::from_hours(1));
        rounds.names.turn(&BTreeMap::<JobId, ()>::new(), |_, ()| true);
        assert!(rounds.names.is_done(), "they have all woken");
    }
}
