//! The comparison of everything that is known with the disk: at the start, at an interval, and for
//! fear of lost events.
//!
//! Input: the jobs folder. Output: each of its jobs that may change, is new or is gone, on the agenda, those
//! that are new at the start with the threads that read them; and, when the last of them has been compared, and
//! the [rounds](super::rest) of jobs that rest are done, how well the disk is being watched.
//! Invariants: one is under way at most; it ends, whatever else there is to do; it takes turns, however many
//! jobs there are, also to begin and to list the jobs folder. Jobs that are gone are found as they are compared.

use super::Reader;
use crate::{
    live::watcher::{
        folder::Folder,
        root::{Listed, Look},
    },
    model::JobId,
};
use std::{collections::HashSet, time::Instant};

/// How many jobs are put on the agenda together, and how many entries of the jobs folder are listed.
const AT_ONCE: usize = 256;

/// A comparison of everything that is under way.
pub(super) struct Sweep {
    which: Sweeping,
    /// The jobs on the agenda, or with the threads that read them, that have not been compared yet.
    left: HashSet<JobId>,
}

impl Sweep {
    pub(super) fn left(&self) -> impl Iterator<Item = &JobId> {
        self.left.iter()
    }
}

/// Which comparison of everything this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Sweeping {
    /// What it finds has happened before. `load`: no job is known, so that they may be read by several
    /// threads.
    First {
        load: bool,
    },
    Again,
}

impl Reader {
    pub(in super::super) fn begin_sweep(&mut self, which: Sweeping) {
        self.start_notify();
        self.begin_listing();
        self.agenda.forget_the_impatient();
        if self.flusher.mend() {
            self.folders.values_mut().for_each(Folder::hold_nothing);
        }
        self.known = match which {
            // Those that were known to a reader before this one.
            Sweeping::First { .. } => self.live.all().iter().map(|it| it.id().clone()).collect(),
            Sweeping::Again => self.folders.keys().cloned().collect(),
        };
        self.rounds.begin(self.resting.len(), self.options.resync_interval);
        self.sweep = Some(Sweep { which, left: HashSet::new() });
        self.end_sweep();
    }

    /// Whether not all jobs are on the agenda that are to be compared.
    pub(super) fn is_gathering(&self) -> bool {
        !self.known.is_empty() || self.root.is_being_listed()
    }

    /// A turn for what is to be compared: the jobs that are known, and then what is new in the jobs
    /// folder, or gone from it.
    pub(super) fn gather(&mut self) {
        let known = self.known.split_off(self.known.len().saturating_sub(AT_ONCE));
        if !known.is_empty() {
            return self.compare(known);
        }
        if !self.root.is_being_listed() {
            return;
        }
        let load = |it: &&mut Sweep| it.which == Sweeping::First { load: true };
        match self.root.next_jobs(&self.jobs, AT_ONCE) {
            Listed::Jobs(mut new) => {
                new.retain(|id| !self.folders.contains_key(id) && !self.resting.contains_key(id));
                match self.sweep.as_mut().filter(load) {
                    Some(sweep) => sweep.left.extend(new),
                    None => self.compare(new),
                }
            }
            Listed::End(gone) => {
                self.known.extend(gone);
                if let Some(sweep) = self.sweep.as_mut().filter(load) {
                    let new = sweep.left.iter().cloned().collect();
                    self.start_loading(new);
                }
                self.end_sweep();
            }
        }
    }

    fn compare(&mut self, ids: Vec<JobId>) {
        for id in ids {
            self.agenda.scan(&id);
            if let Some(sweep) = &mut self.sweep {
                sweep.left.insert(id);
            }
        }
    }

    /// Whether what is found of a job has happened before the start.
    pub(super) fn is_beginning(&self, id: &JobId) -> bool {
        self.sweep.as_ref().is_some_and(|it| it.which != Sweeping::Again && it.left.contains(id))
    }

    /// A job has been compared.
    pub(super) fn note_scanned(&mut self, id: &JobId) {
        self.agenda.note_read(id);
        self.rest_if_over(id);
        if self.sweep.as_mut().is_some_and(|it| it.left.remove(id)) {
            self.end_sweep();
        }
    }

    /// Says how things are, if everything has been compared.
    pub(super) fn end_sweep(&mut self) {
        if self.is_gathering() || !self.rounds.are_done() {
            return;
        }
        let Some(sweep) = self.sweep.take_if(|it| it.left.is_empty()) else { return };
        let notified = self.notifications.is_some();
        let polled = if notified { self.polled } else { 0 };
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
        if sweep.which != Sweeping::Again {
            self.live.set_ready();
        }
    }

    /// Begins to list the jobs folder, if that may show others than the last time. Jobs that rest are not
    /// looked at one by one in each comparison: it is to be told of those that are gone.
    pub(super) fn begin_listing(&mut self) {
        if self.look_at_root() {
            self.root.list(&self.jobs, || self.resting.keys().cloned().collect());
        }
    }

    /// Watches the jobs folder, anew if another one has taken its place; whether it is there.
    fn look_at_root(&mut self) -> bool {
        match self.root.look(&self.jobs, !self.live.is_empty()) {
            Look::Away => return false,
            Look::Same => {}
            Look::Another => {
                self.wake_all();
                self.watch_all_anew();
                if let Some(notifications) = &self.notifications {
                    if let Err(error) = notifications.watch_root_again() {
                        self.note_deaf(&error);
                    }
                }
            }
        }
        true
    }
}
