//! All jobs, sorted by age, with counts.
//!
//! Input: the sort key of a job and its facts, when the job is added, changed or removed. Output:
//! the keys, newest first, of all jobs or of those in one state; counts of jobs and repositories by
//! state.
//!
//! Invariants: every count is updated with each change and none is computed for a request; a page
//! costs the keys before it, at most half of all keys, and does not touch the jobs.

use crate::model::{
    JobState,
    job_row::JobCounts,
    progress::JobFacts,
    state::{COARSE_STATES, Summary},
};
use std::{collections::BTreeSet, iter, ops::Range};

/// The sort keys of all jobs.
#[derive(Debug)]
pub(super) struct SortedJobs<K> {
    /// By coarse state, each from the oldest to the newest.
    by_age: [BTreeSet<K>; COARSE_STATES.len()],
    counts: Counts,
}

/// The number of jobs in each state, and of their repositories.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    jobs: [u64; JobState::ALL.len()],
    /// The repositories of all jobs.
    pub repositories: Summary,
}

impl<K: Ord> SortedJobs<K> {
    pub(super) fn new() -> Self {
        Self { by_age: Default::default(), counts: Counts::default() }
    }

    /// Adds a job with these facts.
    pub(super) fn insert(&mut self, key: K, facts: &JobFacts) {
        if self.by_age[position_of(facts)].insert(key) {
            self.counts.change(facts, |count, by| *count += by);
        }
    }

    /// Removes a job, which was added with these facts.
    pub(super) fn remove(&mut self, key: &K, facts: &JobFacts) {
        if self.by_age[position_of(facts)].remove(key) {
            self.counts.change(facts, |count, by| *count -= by);
        }
    }

    /// The number of jobs in one coarse state, or in all.
    pub(super) fn len(&self, state: Option<&str>) -> usize {
        self.of(state).map(BTreeSet::len).sum()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The number of jobs in each coarse state.
    pub(super) fn coarse_counts(&self) -> JobCounts {
        let [pending, running, completed, failed] = self.by_age.each_ref().map(BTreeSet::len);
        JobCounts { pending, running, completed, failed }
    }

    /// The keys at these positions, newest first, in one coarse state or in all.
    pub(super) fn page(&self, state: Option<&str>, places: Range<usize>) -> Vec<&K> {
        let total = self.len(state);
        let (start, end) = (places.start.min(total), places.end.min(total));
        let parts = self.of(state);
        if start <= total / 2 {
            let newest = merged(parts.map(|keys| keys.iter().rev()), |a, b| a > b);
            return newest.skip(start).take(end - start).collect();
        }
        let oldest = merged(parts.map(BTreeSet::iter), |a, b| a < b);
        let mut keys: Vec<_> = oldest.skip(total - end).take(end - start).collect();
        keys.reverse();
        keys
    }

    fn of(&self, state: Option<&str>) -> impl Iterator<Item = &BTreeSet<K>> {
        let named = COARSE_STATES.into_iter().zip(&self.by_age);
        named
            .filter(move |(name, _)| state.is_none_or(|state| state == *name))
            .map(|(_, keys)| keys)
    }
}

impl Counts {
    /// The number of jobs in this state.
    pub fn jobs(&self, state: JobState) -> u64 {
        JobState::ALL
            .iter()
            .zip(self.jobs)
            .find(|(known, _)| **known == state)
            .map_or(0, |(_, count)| count)
    }

    fn change(&mut self, facts: &JobFacts, by: impl Fn(&mut u64, u64)) {
        if let Some(at) = JobState::ALL.iter().position(|known| *known == facts.state) {
            by(&mut self.jobs[at], 1);
        }
        let (all, own) = (&mut self.repositories, &facts.summary);
        by(&mut all.total_repositories, own.total_repositories);
        by(&mut all.pending, own.pending);
        by(&mut all.in_progress, own.in_progress);
        by(&mut all.completed, own.completed);
        by(&mut all.failed, own.failed);
        by(&mut all.reused, own.reused);
    }
}

/// The position of the job's state among the coarse states.
fn position_of(facts: &JobFacts) -> usize {
    let state = facts.state.coarse();
    COARSE_STATES.iter().position(|known| *known == state).unwrap_or(0)
}

/// Merges sorted lists: the next item is the one that comes before all others.
fn merged<'a, K: 'a>(
    lists: impl Iterator<Item = impl Iterator<Item = &'a K>>,
    comes_first: impl Fn(&K, &K) -> bool,
) -> impl Iterator<Item = &'a K> {
    let mut lists: Vec<_> = lists.map(Iterator::peekable).collect();
    iter::from_fn(move || {
        let mut first: Option<(usize, &K)> = None;
        for (at, list) in lists.iter_mut().enumerate() {
            if let Some(key) = list.peek().copied()
                && first.is_none_or(|(_, best)| comes_first(key, best))
            {
                first = Some((at, key));
            }
        }
        first.and_then(|(at, _)| lists[at].next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    fn facts(state: JobState, completed: u64) -> JobFacts {
        let id: JobId = "job".parse().unwrap();
        let summary =
            Summary { completed, reused: completed, total_repositories: 9, ..Summary::default() };
        let (started_at, completed_at) = (None, None);
        let (url, error, schedule, fraction) = (None, None, None, 0.0);
        let folder_time = crate::model::time::Timestamp::default();
        JobFacts {
            id,
            url,
            state,
            summary,
            skipped: 0,
            discovering: false,
            discovery_errors: 0,
            started_at,
            folder_time,
            completed_at,
            error,
            schedule,
            fraction,
            paused: false,
            archived: false,
        }
    }

    /// Fails if a page differs from that of a list that is sorted from scratch.
    #[test]
    fn pages_match_the_sorted_list_from_either_end() {
        let mut listing = SortedJobs::new();
        let mut all = Vec::new();
        for key in 0..60_u32 {
            let state = JobState::ALL[(key as usize * 7 + key as usize / 5) % JobState::ALL.len()];
            all.push((key, state));
            listing.insert(key, &facts(state, 1));
        }
        all.reverse();
        for state in COARSE_STATES.into_iter().map(Some).chain([None]) {
            let of_state =
                all.iter().filter(|(_, of_job)| state.is_none_or(|name| name == of_job.coarse()));
            let expected: Vec<&u32> = of_state.map(|(key, _)| key).collect();
            assert_eq!(listing.len(state), expected.len());
            for size in [1, 7, 20, 100] {
                for start in (0..70).step_by(size) {
                    let end = (start + size).min(expected.len());
                    let page = expected.get(start..end).unwrap_or_default();
                    assert_eq!(listing.page(state, start..start + size), page, "{state:?} {start}");
                }
            }
        }
    }

    /// Fails if a count is not taken back, or is counted twice.
    #[test]
    fn counts_match_the_newest_facts() {
        let mut listing = SortedJobs::new();
        let (running, done) = (facts(JobState::InProgress, 2), facts(JobState::Completed, 9));
        listing.insert("a", &running);
        listing.insert("a", &running);
        listing.insert("b", &running);
        listing.remove(&"a", &running);
        listing.insert("a", &done);
        listing.remove(&"c", &done);
        let counts = listing.counts();
        assert_eq!(counts.jobs(JobState::InProgress), 1);
        assert_eq!(counts.jobs(JobState::Completed), 1);
        assert_eq!((counts.repositories.completed, counts.repositories.reused), (11, 11));
        assert_eq!(counts.repositories.total_repositories, 18);
        let coarse = JobCounts { running: 1, completed: 1, ..JobCounts::default() };
        assert_eq!(listing.coarse_counts(), coarse);
    }
}
