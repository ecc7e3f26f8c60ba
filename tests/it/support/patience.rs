//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Waits until `condition` holds: fast in the normal case, patient otherwise.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = Duration::from_secs(20);
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
