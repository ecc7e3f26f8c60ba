//! Decides when the final state of a job is published.
//!
//! Input: the job's files, once all of them are read, and whether they still change. Output: the final
//! state as an event of its own, or its withdrawal, if the job continues.
//!
//! Invariant: readers see the final state after every change that it follows from.

use super::LiveJob;

impl LiveJob {
    /// Publishes the final state if there is one, and either no repository is unfinished or nothing
    /// has changed for a resync interval (`quiet`). Adds the job to the index if it is new.
    pub(in super::super) fn finalize(&self, quiet: bool) {
        self.update_ended(quiet);
        self.job_index.add(&self.entry);
        if quiet {
            self.pack_unless_used();
        }
    }

    /// Does what [`finalize`](Self::finalize) can do for a finished and quiet job before the job is
    /// in the cache, and packs it.
    pub(in super::super) fn finalize_unpublished(&self) {
        self.update_ended(true);
        self.pack_unless_used();
    }

    pub(super) fn update_ended(&self, quiet: bool) {
        let (ends, ended) = self.entry.with_row(|row| {
            let summary = row.facts.summary;
            let still = summary.in_progress == 0 && summary.pending == 0;
            (row.facts.state.is_final() && (still || quiet), row.ended)
        });
        if ends != ended {
            // Wakes the readers, which then find the final state after their cursor.
            self.publish(|data| {
                data.ended = ends;
                if ends {
                    // The final state has an event id of its own: a reader may have seen the last
                    // change, but not this.
                    data.advance();
                }
                true
            });
        }
    }
}
