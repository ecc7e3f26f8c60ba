//! A count of events for each minute of the last hour.
//!
//! Input: single events. Output: the counts, oldest first. Invariants: counting never blocks; the memory is fixed.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How many minutes are kept, the current one included.
const MINUTES: usize = 60;

/// Events, counted by minute since the start.
#[derive(Debug)]
pub struct PerMinute {
    start: Instant,
    /// The count of minute `m` is in slot `m % MINUTES`: `m + 1` in the upper half, the count in the lower. One word, so
    /// that a new minute replaces an old one and its count at once.
    slots: [AtomicU64; MINUTES],
}

impl PerMinute {
    /// No events, from now on.
    pub fn new() -> Self {
        Self { start: Instant::now(), slots: [const { AtomicU64::new(0) }; MINUTES] }
    }

    /// Counts one event now.
    pub fn observe(&self) {
        self.observe_at(self.start.elapsed());
    }

    /// The counts of the last hour, or of the minutes since the start if it was later. The last one is that of the
    /// current minute, which is not over yet.
    pub fn counts(&self) -> Vec<u32> {
        self.counts_at(self.start.elapsed())
    }

    fn observe_at(&self, elapsed: Duration) {
        let minute = elapsed.as_secs() / 60;
        let tag = (minute + 1) << 32;
        let Some(slot) = self.slots.get(position(minute)) else { return };
        let next = |known: u64| {
            let is_current = known >> 32 == minute + 1;
            Some(if is_current { known.checked_add(1).unwrap_or(known) } else { tag | 1 })
        };
        // The closure always returns a value, so the update cannot fail.
        let _ = slot.fetch_update(Relaxed, Relaxed, next);
    }

    fn counts_at(&self, elapsed: Duration) -> Vec<u32> {
        let current = elapsed.as_secs() / 60;
        let first = (current + 1).saturating_sub(MINUTES as u64);
        let count = |minute: u64| {
            let known = self.slots.get(position(minute)).map_or(0, |slot| slot.load(Relaxed));
            let is_current = known >> 32 == minute + 1;
            is_current
                .then(|| u32::try_from(known & u64::from(u32::MAX)).ok())
                .flatten()
                .unwrap_or(0)
        };
        (first..=current).map(count).collect()
    }
}

impl Default for PerMinute {
    fn default() -> Self {
        Self::new()
    }
}

fn position(minute: u64) -> usize {
    usize::try_from(minute % MINUTES as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if an event counts in another minute, or if a minute of an earlier hour is served again.
    #[test]
    fn each_event_counts_in_its_minute_for_an_hour() {
        let counts = PerMinute::new();
        let at = |minute: u64, second: u64| Duration::from_secs(minute * 60 + second);
        assert_eq!(counts.counts_at(at(0, 0)), [0]);
        for second in [0, 59] {
            counts.observe_at(at(0, second));
        }
        counts.observe_at(at(2, 0));
        assert_eq!(counts.counts_at(at(3, 5)), [2, 0, 1, 0]);
        let hour = counts.counts_at(at(61, 0));
        assert_eq!((hour.len(), hour[0], hour.iter().sum::<u32>()), (60, 1, 1));
        counts.observe_at(at(120, 0));
        assert_eq!(counts.counts_at(at(120, 1)).iter().sum::<u32>(), 1);
    }
}
