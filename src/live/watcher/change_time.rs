//! Change times of files and folders.
//!
//! Input: times of the wall clock. Output: moments of the monotonic clock, and whether a further
//! change would be visible.
//!
//! Invariant: a clock that was set makes no file older or newer than possible.

use crate::model::time::Timestamp;
use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

/// How long after a change another change may get the same change time: clocks of file systems tick
/// every 10 ms, or less. (Since Linux 6.13 most of them give a change that follows a read a new
/// time.)
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Converts a time of the wall clock. A time in the future counts as now.
pub(super) fn moment_of(at: SystemTime) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// The time of a folder: when it was made, which never changes; or its modification time, if that is
/// older: `cp -a` and `rsync -a` keep it in a copy.
pub(super) fn folder_time(path: &Path) -> Option<Timestamp> {
    let facts = std::fs::symlink_metadata(path).ok()?;
    let times = [facts.created().ok(), facts.modified().ok()];
    times.into_iter().flatten().min().map(Timestamp::from)
}

/// Whether a file with this change time may be changed again without a visible new change time.
pub(super) fn is_young(changed_at: SystemTime, read_at: SystemTime) -> bool {
    match read_at.duration_since(changed_at) {
        Ok(age) => age < TICK,
        // The coarse clock of the file system lags behind; a larger difference means that the clock
        // was set.
        Err(ahead) => ahead.duration() < TICK,
    }
}
