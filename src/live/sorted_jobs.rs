//! All jobs in the order of their age, and counted.
//!
//! Input: a job's key, by which it sorts, and its facts, when they are known and when they go. Output:
//! the keys, newest first, of all jobs or of those in one state; how many there are of what.
//!
//! Invariants: every number is kept with each change and none is counted for a question; a page costs the
//! keys before it, at most half of them all, and nothing of the jobs themselves.

use crate::model::{
    JobState,
    job_row::JobCounts,
    progress::JobFacts,
    state::{COARSE_STATES, Summary},
};
use std::{collections::BTreeSet, iter, ops::Range};

/// The keys of all jobs.
#[derive(Debug)]
pub(super) struct Listing<K> {
    /// By coarse state, each from the oldest to the newest.
    by_age: [BTreeSet<K>; COARSE_STATES.len()],
    counts: Counts,
}

/// How many jobs are in which state, and how many repositories of theirs.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    jobs: [u64; JobState::ALL.len()],
    /// Those of all jobs.
    pub repositories: Summary,
}

impl<K: Ord> Listing<K> {
    pub(super) fn new() -> Self {
        Self { by_age: Default::default(), counts: Counts::default() }
    }

    /// A job has these facts from now on.
    pub(super) fn insert(&mut self, key: K, facts: &JobFacts) {
        if self.by_age[place_of(facts)].insert(key) {
            self.counts.change(facts, |count, by| *count += by);
        }
    }

    /// A job does not have these facts any more, which it was inserted with.
    pub(super) fn remove(&mut self, key: &K, facts: &JobFacts) {
        if self.by_age[place_of(facts)].remove(key) {
            self.counts.change(facts, |count, by| *count -= by);
        }
    }

    /// How many jobs there are; of one coarse state, or in all.
    pub(super) fn len(&self, state: Option<&str>) -> usize {
        self.of(state).map(BTreeSet::len).sum()
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many jobs are in which coarse state.
    pub(super) fn coarse_counts(&self) -> JobCounts {
        let [pending, running, completed, failed] = self.by_age.each_ref().map(BTreeSet::len);
        JobCounts { pending, running, completed, failed }
    }

    /// The keys at these places, newest first; of one coarse state, or of all.
    pub(super) fn page(&self, state: Option<&str>, places: Range<usize>) -> Vec<&K> {
        let total = self.len(state);
        let (start, end) = (places.start.min(total), places.end.min(total));
        let parts = self.of(state);
        if start <= total / 2 {
            let newest = merged(parts.map(|it| it.iter().rev()), |a, b| a > b);
            return newest.skip(start).take(end - start).collect();
        }
        let oldest = merged(parts.map(BTreeSet::iter), |a, b| a < b);
        let mut keys: Vec<_> = oldest.skip(total - end).take(end - start).collect();
        keys.reverse();
        keys
    }

    fn of(&self, state: Option<&str>) -> impl Iterator<Item = &BTreeSet<K>> {
        let named = COARSE_STATES.into_iter().zip(&self.by_age);
        named.filter(move |(name, _)| state.is_none_or(|it| it == *name)).map(|(_, keys)| keys)
    }
}

impl Counts {
    /// Jobs in this state.
    pub fn jobs(&self, state: JobState) -> u64 {
        JobState::ALL.iter().zip(self.jobs).find(|(it, _)| **it == state).map_or(0, |(_, n)| n)
    }

    fn change(&mut self, facts: &JobFacts, by: impl Fn(&mut u64, u64)) {
        if let Some(at) = JobState::ALL.iter().position(|it| *it == facts.state) {
            by(&mut self.jobs[at], 1);
        }
        let (all, own) = (&mut self.repositories, &facts.summary);
        by(&mut all.total_repositories, own.total_repositories);
        by(&mut all.pending, own.pending);
        by(&mut all.in_progress, own.in_progress);
        by(&mut all.completed, own.completed);
        by(&mut all.failed, own.failed);
    }
}

/// The place of a job's state among the coarse ones.
fn place_of(facts: &JobFacts) -> usize {
    let state = facts.state.coarse();
    COARSE_STATES.iter().position(|it| *it == state).unwrap_or(0)
}

/// Sorted lists as one sorted list: that item is next which comes before all others.
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
        let summary = Summary { completed, total_repositories: 9, ..Summary::default() };
        let (started_at, completed_at) = (None, None);
        let (url, error, fraction) = (None, None, 0.0);
        JobFacts { id, url, state, summary, started_at, completed_at, error, fraction }
    }

    /// Each page is that of a list which is sorted anew.
    #[test]
    fn pages_are_those_of_the_whole_list_from_either_end() {
        let mut listing = Listing::new();
        let mut all = Vec::new();
        for key in 0..60_u32 {
            let state = JobState::ALL[(key as usize * 7 + key as usize / 5) % JobState::ALL.len()];
            all.push((key, state));
            listing.insert(key, &facts(state, 1));
        }
        all.reverse();
        for state in COARSE_STATES.into_iter().map(Some).chain([None]) {
            let of_state =
                all.iter().filter(|(_, it)| state.is_none_or(|name| name == it.coarse()));
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

    /// Breaks if a count is not taken back, or is taken in twice.
    #[test]
    fn counts_are_those_of_the_newest_facts() {
        let mut listing = Listing::new();
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
        assert_eq!(counts.repositories.completed, 11);
        assert_eq!(counts.repositories.total_repositories, 18);
        let coarse = JobCounts { running: 1, completed: 1, ..JobCounts::default() };
        assert_eq!(listing.coarse_counts(), coarse);
    }
}
