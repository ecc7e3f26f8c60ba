//! The deliveries of one webhook: which of them wait, and until when. Pure: the clock is an argument.
//!
//! Input: deliveries, and the outcomes of attempts. Output: the next one that is due. Invariants: a delivery is attempted by
//! one task at a time; payloads are not kept in memory.

use crate::model::{JobId, time::Timestamp, webhook::DeliveryState};
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

/// How many accepted deliveries are kept for the list.
pub(super) const MAX_DELIVERED: usize = 100;

/// A delivery that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) created_at: Timestamp,
    /// When it is due.
    pub(super) due: Instant,
    /// An attempt is under way.
    pub(super) is_busy: bool,
    /// The repository whose document is still to be produced.
    pub(super) needs_document: Option<(JobId, u32)>,
}

/// The deliveries of one webhook, by state.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: HashMap<String, Waiting>,
    /// The state and the time of each delivery that does not wait.
    settled: HashMap<String, (DeliveryState, Timestamp)>,
    failed: BTreeSet<(Timestamp, String)>,
    delivered: BTreeSet<(Timestamp, String)>,
}

impl Queue {
    /// Whether there is a delivery with this id, in whatever state.
    pub(super) fn state_of(&self, id: &str) -> Option<DeliveryState> {
        if self.waiting.contains_key(id) {
            return Some(DeliveryState::Pending);
        }
        self.settled.get(id).map(|(state, _)| *state)
    }

    /// How many deliveries wait.
    pub(super) fn pending(&self) -> usize {
        self.waiting.len()
    }

    /// How many deliveries were given up.
    pub(super) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Adds a delivery that waits, or replaces it.
    pub(super) fn wait(&mut self, id: String, waiting: Waiting) {
        self.waiting.insert(id, waiting);
    }

    /// Adds a delivery that does not wait.
    pub(super) fn settle(&mut self, id: &str, state: DeliveryState, created_at: Timestamp) {
        self.forget(id);
        let set = match state {
            DeliveryState::Delivered => &mut self.delivered,
            DeliveryState::Failed => &mut self.failed,
            DeliveryState::Pending => return,
        };
        set.insert((created_at, id.to_owned()));
        self.settled.insert(id.to_owned(), (state, created_at));
    }

    /// Forgets a delivery.
    pub(super) fn forget(&mut self, id: &str) {
        self.waiting.remove(id);
        if let Some((_, created_at)) = self.settled.remove(id) {
            let entry = (created_at, id.to_owned());
            self.failed.remove(&entry);
            self.delivered.remove(&entry);
        }
    }

    /// Takes the delivery that has been due for the longest time.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<String> {
        let ready = self.waiting.iter_mut().filter(|(_, waiting)| {
            !waiting.is_busy && waiting.needs_document.is_none() && waiting.due <= now
        });
        let (id, waiting) = ready.min_by_key(|(_, waiting)| (waiting.due, waiting.created_at))?;
        waiting.is_busy = true;
        Some(id.clone())
    }

    /// When the next delivery is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let ready = self.waiting.values();
        let ready = ready.filter(|waiting| !waiting.is_busy && waiting.needs_document.is_none());
        ready.map(|waiting| waiting.due).min()
    }

    /// Takes the oldest delivery whose document is still to be produced.
    pub(super) fn take_undocumented(&mut self, now: Instant) -> Option<(String, JobId, u32)> {
        let without = self.waiting.iter_mut().filter(|(_, waiting)| {
            !waiting.is_busy && waiting.needs_document.is_some() && waiting.due <= now
        });
        let (id, waiting) = without.min_by_key(|(_, waiting)| (waiting.due, waiting.created_at))?;
        waiting.is_busy = true;
        let (job, index) = waiting.needs_document.clone()?;
        Some((id.clone(), job, index))
    }

    /// When the next document can be produced.
    pub(super) fn next_undocumented(&self) -> Option<Instant> {
        let without = self.waiting.values();
        let without =
            without.filter(|waiting| !waiting.is_busy && waiting.needs_document.is_some());
        without.map(|waiting| waiting.due).min()
    }

    /// Whether a document of this job is still to be produced.
    pub(super) fn needs_files_of(&self, job: &JobId) -> bool {
        let mut all = self.waiting.values();
        all.any(|waiting| waiting.needs_document.as_ref().is_some_and(|(of, _)| of == job))
    }

    /// Records that a document was produced.
    pub(super) fn documented(&mut self, id: &str) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            (waiting.is_busy, waiting.needs_document) = (false, None);
        }
    }

    /// Has a delivery wait until this time. Nothing happens if it does not wait any more.
    pub(super) fn postpone(&mut self, id: &str, due: Instant) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            (waiting.is_busy, waiting.due) = (false, due);
        }
    }

    /// When a delivery that waits was created.
    pub(super) fn waiting(&self, id: &str) -> Option<&Waiting> {
        self.waiting.get(id)
    }

    /// The deliveries that exceed the limits, the oldest first: of those that wait only those that no task has. Each is
    /// forgotten.
    pub(super) fn take_excess(&mut self, most: usize) -> Vec<(String, DeliveryState)> {
        let mut excess = Vec::new();
        if self.waiting.len() > most {
            let mut idle: Vec<_> = self
                .waiting
                .iter()
                .filter(|(_, waiting)| !waiting.is_busy)
                .map(|(id, waiting)| (waiting.created_at, id.clone()))
                .collect();
            idle.sort_unstable();
            idle.truncate(self.waiting.len() - most);
            excess.extend(idle.into_iter().map(|(_, id)| (id, DeliveryState::Pending)));
        }
        for (set, most, state) in [
            (&self.failed, most, DeliveryState::Failed),
            (&self.delivered, MAX_DELIVERED, DeliveryState::Delivered),
        ] {
            let too_many = set.len().saturating_sub(most);
            excess.extend(set.iter().take(too_many).map(|(_, id)| (id.clone(), state)));
        }
        for (id, _) in &excess {
            self.forget(id);
        }
        excess
    }

    /// The ids and states of the deliveries in one state or in all, newest first.
    pub(super) fn list(&self, state: Option<DeliveryState>) -> Vec<(String, DeliveryState)> {
        let wanted = |of| state.is_none_or(|state| state == of);
        let mut all: Vec<(Timestamp, &String, DeliveryState)> = Vec::new();
        if wanted(DeliveryState::Pending) {
            let waiting = self.waiting.iter();
            all.extend(waiting.map(|(id, it)| (it.created_at, id, DeliveryState::Pending)));
        }
        for (set, state) in
            [(&self.failed, DeliveryState::Failed), (&self.delivered, DeliveryState::Delivered)]
        {
            if wanted(state) {
                all.extend(set.iter().map(|(at, id)| (*at, id, state)));
            }
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all.into_iter().map(|(_, id, state)| (id.clone(), state)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn waiting(created: i64, due: Instant) -> Waiting {
        let created_at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(created);
        Waiting { created_at, due, is_busy: false, needs_document: None }
    }

    #[test]
    fn the_delivery_that_is_due_for_longest_is_taken_by_one_task() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let later = now + Duration::from_secs(9);
        queue.wait("late".into(), waiting(0, later));
        queue.wait("second".into(), waiting(2, now));
        queue.wait("first".into(), waiting(1, now));
        assert_eq!(queue.take_due(now).as_deref(), Some("first"));
        assert_eq!(queue.take_due(now).as_deref(), Some("second"));
        assert_eq!(queue.take_due(now), None);
        assert_eq!(queue.next_due(), Some(later));
        queue.postpone("first", now);
        assert_eq!(queue.take_due(now).as_deref(), Some("first"));
        queue.settle("first", DeliveryState::Delivered, Timestamp::UNIX_EPOCH);
        assert_eq!(queue.state_of("first"), Some(DeliveryState::Delivered));
        assert_eq!(queue.pending(), 2);
    }

    #[test]
    fn the_oldest_beyond_a_limit_are_given_up() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for number in 0..5 {
            queue.wait(number.to_string(), waiting(number, now));
        }
        assert_eq!(queue.take_due(now).as_deref(), Some("0"));
        let gone: Vec<_> = queue.take_excess(3).into_iter().map(|(id, _)| id).collect();
        assert_eq!(gone, ["1", "2"], "one that is being sent stays");
        for number in 0..102 {
            let at = Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(number);
            queue.settle(&format!("d{number}"), DeliveryState::Delivered, at);
        }
        let gone = queue.take_excess(3);
        assert_eq!(gone[0], ("d0".to_owned(), DeliveryState::Delivered));
        assert_eq!((gone.len(), queue.list(None).len()), (2, 103));
        assert_eq!(queue.list(Some(DeliveryState::Delivered))[0].0, "d101");
    }

    #[test]
    fn a_delivery_without_its_document_is_not_sent() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let job: JobId = "job".parse().unwrap();
        let needs_document = Some((job.clone(), 3));
        queue.wait("a".into(), Waiting { needs_document, ..waiting(0, now) });
        assert_eq!(queue.take_due(now), None);
        assert!(queue.needs_files_of(&job));
        assert_eq!(queue.take_undocumented(now), Some(("a".into(), job.clone(), 3)));
        assert_eq!(queue.take_undocumented(now), None);
        queue.documented("a");
        assert!(!queue.needs_files_of(&job));
        assert_eq!(queue.take_due(now).as_deref(), Some("a"));
    }
}
