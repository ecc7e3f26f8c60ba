//! The comparison of everything that is known with the disk: at the start, at an interval, and for
//! fear of lost events.
//!
//! Input: the jobs folder. Output: each of its jobs on the agenda; and, when the last of them has been
//! compared, how well the disk is being watched.
//! Invariants: one is under way at most; it ends, whatever else there is to do; it takes turns, however many
//! jobs there are, also to begin and to list the jobs folder. Jobs that are gone are found as they are compared.

use super::Reader;
use crate::{
    live::watcher::{
        folder::{Folder, Watch},
        root::Look,
    },
    model::JobId,
    store::layout::Listing,
};
use notify::{RecursiveMode, Watcher as _};
use std::{collections::HashSet, time::Instant};

/// How many jobs are put on the agenda together, and how many entries of the jobs folder are listed.
const AT_ONCE: usize = 256;

/// A comparison of everything that is under way.
pub(super) struct Sweep {
    /// Jobs that were known when it began, and are not on the agenda yet.
    known: Vec<JobId>,
    /// What has not been listed yet.
    listing: Option<Listing>,
    /// The jobs on the agenda that have not been compared yet.
    left: HashSet<JobId>,
    /// The first one: what it finds has happened before.
    initial: bool,
}

#[cfg(test)]
impl Sweep {
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }
}

impl Reader {
    pub(in super::super) fn begin_sweep(&mut self, initial: bool) {
        self.start_notify();
        let listing = if self.look_at_root() { self.root.list(&self.jobs) } else { None };
        self.agenda.forget_the_impatient();
        if self.flusher.mend() {
            self.folders.values_mut().for_each(Folder::hold_nothing);
        }
        // Also those that were known to a reader before this one.
        let known = self.live.all().iter().map(|it| it.id().clone()).collect();
        self.sweep = Some(Sweep { known, listing, left: HashSet::new(), initial });
        self.end_sweep();
    }

    /// Whether not all jobs are on the agenda that are to be compared.
    pub(super) fn is_gathering(&self) -> bool {
        self.sweep.as_ref().is_some_and(|it| !it.known.is_empty() || it.listing.is_some())
    }

    /// A turn for what is to be compared: the jobs that are known, and then what is new in the jobs folder.
    pub(super) fn gather(&mut self) {
        let Some(sweep) = &mut self.sweep else { return };
        let mut ids = sweep.known.split_off(sweep.known.len().saturating_sub(AT_ONCE));
        if ids.is_empty() {
            let Some(listing) = &mut sweep.listing else { return };
            let Some(there) = self.root.next_jobs(&self.jobs, listing, AT_ONCE) else {
                sweep.listing = None;
                return self.end_sweep();
            };
            ids.extend(there.into_iter().filter(|it| !self.folders.contains_key(it)));
        }
        for id in ids {
            self.agenda.scan(&id);
            sweep.left.insert(id);
        }
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
        if self.is_gathering() {
            return;
        }
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

    /// Watches the jobs folder, anew if another one has taken its place; whether it is there.
    pub(super) fn look_at_root(&mut self) -> bool {
        match self.root.look(&self.jobs, !self.live.is_empty()) {
            Look::Away => return false,
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
        true
    }
}
