//! Marks: how long another agent has been silent, without a comparison of clocks.
//!
//! Input: the revisions of this agent's own heartbeats and when NATS confirmed them. Output: how long a heartbeat of
//! another agent is known to be the last one.
//!
//! Invariants: the bucket of heartbeats orders all heartbeats. A heartbeat with a lower revision than a mark is older than
//! the mark, so if it is the newest of its agent, the agent has been silent at least since the mark. Time before the last
//! reconnection does not count.

use std::{collections::VecDeque, time::Duration};

/// The maximum number of marks; older ones are dropped.
const MOST: usize = 128;
/// Into how many parts marks divide the wait for a silent holder: all marks together cover more than the wait.
const PARTS_OF_WAIT: u32 = 96;

/// How far marks are apart, for a wait for a silent holder.
pub(super) fn apart(ack_wait: Duration) -> Duration {
    ack_wait / PARTS_OF_WAIT
}

/// The marks of this agent.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: VecDeque<(u64, Duration)>,
}

impl Marks {
    /// NATS has confirmed a heartbeat of this agent. Marks that are closer than `apart` to the last one add nothing.
    pub(super) fn add(&mut self, revision: u64, now: Duration, apart: Duration) {
        if self.marks.back().is_some_and(|(_, at)| now.saturating_sub(*at) < apart) {
            return;
        }
        if self.marks.len() == MOST {
            self.marks.pop_front();
        }
        self.marks.push_back((revision, now));
    }

    /// The connection was lost: other agents may have been cut off as well.
    pub(super) fn clear(&mut self) {
        self.marks.clear();
    }

    /// For how long the agent whose newest heartbeat has this revision is known to be silent.
    pub(super) fn silence(&self, revision: u64, now: Duration) -> Duration {
        let first = self.marks.iter().find(|(mark, _)| *mark > revision);
        first.map_or(Duration::ZERO, |(_, at)| now.saturating_sub(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_first_mark_after_the_heartbeat() {
        let second = Duration::from_secs;
        let mut marks = Marks::default();
        for (revision, at) in [(10, 1), (12, 2), (15, 3)] {
            marks.add(revision, second(at), second(1) / 4);
        }
        assert_eq!(marks.silence(9, second(10)), second(9));
        assert_eq!(marks.silence(11, second(10)), second(8));
        assert_eq!(marks.silence(16, second(10)), Duration::ZERO);
        marks.clear();
        assert_eq!(marks.silence(9, second(10)), Duration::ZERO);
    }

    /// Breaks if a long wait is longer than what the marks cover, so that a dead holder is waited for for ever.
    #[test]
    fn marks_cover_any_wait() {
        for secs in [1, 2, 30, 321, 3600, 86_400] {
            let ack_wait = Duration::from_secs(secs);
            let every = crate::wire::heartbeat::beat_interval(ack_wait);
            let (mut marks, mut now, mut revision) = (Marks::default(), Duration::ZERO, 1);
            while now < ack_wait * 2 {
                (now, revision) = (now + every, revision + 1);
                marks.add(revision, now, apart(ack_wait));
                if marks.silence(1, now) >= ack_wait {
                    break;
                }
            }
            assert!(now <= ack_wait + ack_wait / 32 + every * 2, "{ack_wait:?}: {now:?}");
        }
    }

    /// Breaks if many attempts that begin at once push the marks out that a decision needs.
    #[test]
    fn marks_stay_apart() {
        let mut marks = Marks::default();
        for number in 0..1000u64 {
            marks.add(number + 1, Duration::from_millis(number), Duration::from_millis(250));
        }
        assert_eq!(marks.marks.len(), 4);
        assert_eq!(marks.silence(0, Duration::from_secs(3)), Duration::from_secs(3));
    }
}
