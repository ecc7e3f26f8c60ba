//! Rate limit of log lines that clients can cause.
//!
//! Input: a line that is about to be logged. Output: whether to log it, and how many were
//! suppressed since the last one.
//!
//! Invariants: whatever clients send, a kind of line is logged at most a fixed number of times per
//! [`WINDOW`]; suppressed lines are counted.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(10);

/// The limit of one kind of line; a `static` where the line is written.
#[derive(Debug)]
pub(super) struct LineLimit {
    most: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl LineLimit {
    /// At most so many lines in [`WINDOW`].
    pub(super) const fn new(most: u32) -> Self {
        Self { most, window: Mutex::new(Window { began: None, written: 0, suppressed: 0 }) }
    }

    /// Whether a line may be written now; if so, how many have been suppressed since the last.
    pub(super) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.written = 0;
        }
        if window.written >= self.most {
            window.suppressed += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppressed_lines_are_counted_and_reported_by_the_next() {
        let limit = LineLimit::new(3);
        let now = Instant::now();
        let written: Vec<_> = (0..100).filter_map(|_| limit.pass_at(now)).collect();
        assert_eq!(written, [0, 0, 0]);
        assert_eq!(limit.pass_at(now + WINDOW / 2), None);
        assert_eq!(limit.pass_at(now + WINDOW), Some(98));
        assert_eq!(limit.pass_at(now + WINDOW), Some(0));
    }
}
