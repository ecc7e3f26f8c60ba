//! When copies of the idle jobs are written.
//!
//! Input: whether idle jobs have changed. Output: the idle jobs, for the thread that writes.
//!
//! Invariants: after resyncs, while that thread is not busy; when the server ends, whatever it did
//! before. Handing over takes a reference per job.

use super::JobsReader;
use crate::{
    live::watcher::{idle_folder::IdleFolder, saver::Saver},
    store::packed_jobs::PackedJobs,
};
use std::{collections::HashSet, sync::Arc};

impl JobsReader {
    /// Copies for the loader threads.
    pub(in super::super) fn use_copies(&mut self, packed: PackedJobs) {
        self.copies = Arc::new(packed);
    }

    /// Has copies written if there is something new.
    pub(super) fn save_if_changed(&mut self) {
        if !self.idle_changed || self.saver.as_ref().is_some_and(Saver::is_busy) {
            return;
        }
        let jobs = self.settled();
        if let Some(saver) = self.saver() {
            saver.write(jobs);
            self.idle_changed = false;
        }
    }

    /// Has copies written before the server ends, if there is something new.
    pub(super) fn save_last(&mut self) {
        if !self.idle_changed {
            return;
        }
        let jobs = self.settled();
        self.saver();
        if let Some(saver) = self.saver.take() {
            saver.write_last(jobs);
        }
    }

    /// The idle jobs, except those that may have changed since they were read.
    fn settled(&self) -> Vec<Arc<IdleFolder>> {
        let recent: HashSet<_> = self.recent.iter().map(|recent| &recent.id).collect();
        let settled = self.idle.iter().filter(|(id, _)| !recent.contains(id));
        settled.map(|(_, idle)| Arc::clone(idle)).collect()
    }

    /// The thread; without one, the next start reads all files.
    fn saver(&mut self) -> Option<&Saver> {
        if self.saver.is_none() {
            self.saver = Saver::start(&self.jobs).ok();
        }
        self.saver.as_ref()
    }
}
