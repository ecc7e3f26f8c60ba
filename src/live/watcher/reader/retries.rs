//! Files that have to be read again, and when.
//!
//! Input: a file and a time, after each read that may not have seen the last content. Output: the
//! files that are due.
//!
//! Invariants: a file has one time, set by its newest read: a file that is replaced a thousand
//! times a second is not read another thousand times because of that.

use crate::{model::JobId, store::layout::JobFile};
use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

#[derive(Debug, Default)]
pub(super) struct Retries {
    in_order: BTreeSet<(Instant, JobId, JobFile)>,
    times: HashMap<(JobId, JobFile), Instant>,
}

impl Retries {
    /// Has a file read again at this time, and not earlier.
    pub(super) fn set(&mut self, at: Instant, id: &JobId, file: JobFile) {
        if let Some(before) = self.times.insert((id.clone(), file), at) {
            self.in_order.remove(&(before, id.clone(), file));
        }
        self.in_order.insert((at, id.clone(), file));
    }

    /// When the first file is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, ..)| *at)
    }

    /// Removes and returns a file that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(JobId, JobFile)> {
        self.next_at().filter(|at| *at <= now)?;
        let (_, id, file) = self.in_order.pop_first()?;
        let key = (id, file);
        self.times.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_is_read_again_once_after_its_newest_reading() {
        let (id, now): (JobId, _) = ("job".parse().unwrap(), Instant::now());
        let at = |millis| now + Duration::from_millis(millis);
        let (hot, other) = (JobFile::Repository(0), JobFile::Repository(1));
        let mut retries = Retries::default();
        retries.set(at(21), &id, other);
        for millis in 20..1_000 {
            retries.set(at(millis), &id, hot);
        }
        assert_eq!(retries.next_at(), Some(at(21)));
        assert_eq!(retries.pop_due(at(998)), Some((id.clone(), other)));
        assert_eq!(retries.pop_due(at(998)), None, "it was read again meanwhile");
        assert_eq!(retries.pop_due(at(999)), Some((id, hot)));
        assert_eq!(retries.next_at(), None);
        assert!(retries.times.is_empty());
    }
}
