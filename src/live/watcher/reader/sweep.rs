//! The comparison of everything that is known with the disk: at the start, at an interval, and for
//! fear of lost events.
//!
//! Input: the jobs folder. Output: each of its jobs on the agenda; and, when the last of them has been
//! compared, how well the disk is being watched.
//! Invariants: one is under way at most; it ends, whatever else there is to do.

use super::Reader;
use crate::{
    live::watcher::{
        folder::{Folder, Watch},
        root::Look,
    },
    model::JobId,
};
use notify::{RecursiveMode, Watcher as _};
use std::{collections::HashSet, time::Instant};

/// A comparison of everything that is under way.
pub(super) struct Sweep {
    /// The jobs that have not been compared yet.
    left: HashSet<JobId>,
    /// The first one: what it finds has happened before.
    initial: bool,
}

impl Reader {
    pub(in super::super) fn begin_sweep(&mut self, initial: bool) {
        self.start_notify();
        let new = self.look_at_root();
        self.agenda.forget_the_impatient();
        if self.flusher.mend() {
            self.folders.values_mut().for_each(Folder::hold_nothing);
        }
        let left: HashSet<JobId> = self.folders.keys().cloned().chain(new).collect();
        for id in &left {
            self.agenda.scan(id);
        }
        self.sweep = Some(Sweep { left, initial });
        self.end_sweep();
    }

    /// Whether what is found of a job has happened before the start.
    pub(super) fn is_beginning(&self, id: &JobId) -> bool {
        self.sweep.as_ref().is_some_and(|it| it.initial && it.left.contains(id))
    }

    /// A job has been compared.
    pub(super) fn note_scanned(&mut self, id: &JobId) {
        self.agenda.note_read(id);
        if self.sweep.as_mut().is_some_and(|it| it.left.remove(id)) {
            self.rest_if_over(id);
            self.end_sweep();
        }
    }

    /// Says how things are, if everything has been compared.
    fn end_sweep(&mut self) {
        let Some(sweep) = self.sweep.take_if(|it| it.left.is_empty()) else { return };
        let notified = self.notify.is_some();
        let polled = self.folders.values().filter(|it| it.watch == Watch::Polled).count();
        let polled = if notified { polled } else { 0 };
        let broken: usize = self.folders.values().map(Folder::broken_files).sum();
        let problems = self.root.problem.iter().chain(&self.deaf).cloned().collect();
        self.live.note(|health| {
            health.notified = notified;
            health.polled_jobs = polled;
            health.problems = problems;
            health.unreadable_files = broken as u64;
            health.resyncs += 1;
            health.last_resync = Some(Instant::now());
        });
        self.resync_at = Instant::now() + self.options.resync_interval;
        if sweep.initial {
            self.live.set_ready();
        }
    }

    /// Watches the jobs folder, anew if another one has taken its place, and lists it: forgets the
    /// jobs that are gone, and says which are new.
    pub(super) fn look_at_root(&mut self) -> Vec<JobId> {
        match self.root.look(&self.jobs, !self.live.is_empty()) {
            Look::Away => return Vec::new(),
            Look::Same => {}
            Look::Another => {
                self.watch_all_anew();
                if let Some(notify) = &mut self.notify {
                    let root = self.jobs.root();
                    let _ = notify.unwatch(root);
                    if let Err(error) = notify.watch(root, RecursiveMode::NonRecursive) {
                        self.note_deaf(&error);
                    }
                }
            }
        }
        let Some(there) = self.root.list(&self.jobs) else { return Vec::new() };
        for job in self.live.all().iter().filter(|it| !there.contains(it.id())) {
            self.forget(job.id());
            self.note_scanned(job.id());
        }
        there.into_iter().filter(|it| !self.folders.contains_key(it)).collect()
    }
}
