//! Finished jobs that changed shortly before the start. The loader threads read them without a watch,
//! because a watch before the reading makes each file that is opened an event.
//!
//! Input: these jobs. Output: a watch of each, and then a scan, which finds what has changed since it
//! was read.
//!
//! Invariants: begins when everything has been read at the start; one job in a turn, so that nothing
//! else waits; each of these jobs is idle until its turn, and afterwards becomes idle by the rule for
//! all jobs.

use super::JobsReader;
use crate::model::JobId;
use std::time::Instant;

/// Such a job.
#[derive(Debug)]
pub(super) struct RecentJob {
    pub(super) id: JobId,
    /// The time of the newest change of a file that was found when the job was read.
    pub(super) still_since: Instant,
}

impl JobsReader {
    /// Whether such jobs have to be compared now.
    pub(super) fn has_recent(&self) -> bool {
        !self.recent.is_empty() && self.live.is_ready()
    }

    /// A turn for one of these jobs.
    pub(super) fn compare_recent(&mut self) {
        let Some(RecentJob { id, still_since }) = self.recent.pop_front() else { return };
        self.wake(&id);
        // A job that was removed meanwhile is neither idle nor known.
        let Some(folder) = self.folders.get_mut(&id) else { return };
        folder.note_change_at(still_since);
        self.watch(&id);
        // The folder has a watch: it is listed, and all its files are compared.
        self.queue.queue_scan(&id);
    }
}
