//! Failures in a row, so that the log names a lasting one once.
//!
//! Input: failures and successes. Output: when a failure is worth a line of the log, and when it has ended.
//!
//! Invariants: one line per row of failures; failures without a connection do not count.

use std::time::{Duration, Instant};

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Streak {
    patience: Duration,
    since: Option<Instant>,
    is_noted: bool,
}

impl Streak {
    /// Failures are noted once they have lasted for this time.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, since: None, is_noted: false }
    }

    /// Takes in a failure. Returns whether it is to be noted now.
    pub(super) fn fails(&mut self, is_connected: bool) -> bool {
        if !is_connected {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        !self.is_noted && since.elapsed() >= self.patience && {
            self.is_noted = true;
            true
        }
    }

    /// Takes in a success. Returns whether a failure was noted before.
    pub(super) fn succeeds(&mut self) -> bool {
        self.since = None;
        std::mem::take(&mut self.is_noted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_failure_is_noted_once() {
        let mut streak = Streak::new(Duration::ZERO);
        assert!(!streak.fails(false), "there is no connection");
        assert!(streak.fails(true) && !streak.fails(true));
        assert!(streak.succeeds() && !streak.succeeds());
        assert!(streak.fails(true));
        let mut patient = Streak::new(Duration::from_hours(1));
        assert!(!patient.fails(true) && !patient.succeeds());
    }
}
