//! The resync: compares everything with the disk, at the start, at an interval, and after lost
//! events.
//!
//! Input: the jobs folder. Output: each job that may have changed, is new or was removed, queued
//! for a scan, or at the start sent to the loader threads; after all of them, and the
//! [checks](super::idle) of idle jobs, the health of the watcher.
//!
//! Invariants: at most one resync is running; it ends, whatever else there is to do; it takes
//! bounded turns, however many jobs there are, also for queueing and listing. Removed jobs are
//! found by scanning them.

use super::JobsReader;
use crate::{
    live::watcher::{
        folder::Folder,
        root::{ListingStep, RootState},
    },
    model::JobId,
};
use std::{collections::HashSet, time::Instant};

/// How many jobs are queued, and how many entries of the jobs folder are listed, in one turn.
const AT_ONCE: usize = 256;

/// A running resync.
pub(super) struct Resync {
    which: ResyncKind,
    /// The jobs in the queue, or with the loader threads, that have not been scanned yet.
    left: HashSet<JobId>,
}

impl Resync {
    pub(super) fn left(&self) -> impl Iterator<Item = &JobId> {
        self.left.iter()
    }
}

/// The kind of a resync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ResyncKind {
    /// The first one: what it finds happened before the start. `load`: the cache is empty, so
    /// several threads may read the jobs.
    First {
        load: bool,
    },
    Again,
}

impl JobsReader {
    pub(in super::super) fn begin_resync(&mut self, which: ResyncKind) {
        self.start_notify();
        self.begin_listing();
        self.queue.drop_closed_waiters();
        if self.flusher.restart_lost_workers() {
            self.folders.values_mut().for_each(Folder::forget_flushing);
        }
        self.known = match which {
            // Jobs that an earlier reader, which panicked, has left in the cache.
            ResyncKind::First { .. } => {
                self.live.all().iter().map(|job| job.id().clone()).collect()
            }
            ResyncKind::Again => self.folders.keys().cloned().collect(),
        };
        self.idle_checks.begin(self.idle.len(), self.options.resync_interval);
        self.resync = Some(Resync { which, left: HashSet::new() });
        self.end_resync_if_done();
    }

    /// Whether some jobs still have to be queued for the resync.
    pub(super) fn is_queueing_resync(&self) -> bool {
        !self.known.is_empty() || self.root.is_being_listed()
    }

    /// A turn for queueing: first the known jobs, and then those that are new in the jobs folder,
    /// or missing.
    pub(super) fn queue_resync(&mut self) {
        let known = self.known.split_off(self.known.len().saturating_sub(AT_ONCE));
        if !known.is_empty() {
            return self.queue_scans(known);
        }
        if !self.root.is_being_listed() {
            return;
        }
        let load = |resync: &&mut Resync| resync.which == ResyncKind::First { load: true };
        match self.root.next_jobs(&self.jobs, AT_ONCE) {
            ListingStep::Jobs(mut new) => {
                new.retain(|id| !self.folders.contains_key(id) && !self.idle.contains_key(id));
                match self.resync.as_mut().filter(load) {
                    Some(resync) => resync.left.extend(new),
                    None => self.queue_scans(new),
                }
            }
            ListingStep::End(gone) => {
                self.known.extend(gone);
                if let Some(resync) = self.resync.as_mut().filter(load) {
                    let new = resync.left.iter().cloned().collect();
                    self.start_loading(new);
                }
                self.end_resync_if_done();
            }
        }
    }

    fn queue_scans(&mut self, ids: Vec<JobId>) {
        for id in ids {
            self.queue.queue_scan(&id);
            if let Some(resync) = &mut self.resync {
                resync.left.insert(id);
            }
        }
    }

    /// Whether the content that is found of a job existed before the start.
    pub(super) fn is_beginning(&self, id: &JobId) -> bool {
        self.resync
            .as_ref()
            .is_some_and(|resync| resync.which != ResyncKind::Again && resync.left.contains(id))
    }

    /// Records that a job has been scanned.
    pub(super) fn note_scanned(&mut self, id: &JobId) {
        self.queue.note_read(id);
        self.make_idle_if_finished(id);
        if self.resync.as_mut().is_some_and(|resync| resync.left.remove(id)) {
            self.end_resync_if_done();
        }
    }

    /// Reports the health of the watcher, if everything has been scanned.
    pub(super) fn end_resync_if_done(&mut self) {
        if self.is_queueing_resync() || !self.idle_checks.are_done() {
            return;
        }
        let Some(resync) = self.resync.take_if(|resync| resync.left.is_empty()) else { return };
        let notified = self.notifications.is_some();
        let polled = if notified { self.polled } else { 0 };
        let broken: usize = self.folders.values().map(Folder::broken_files).sum();
        let problems = self.root.problem.iter().chain(&self.notify_problem).cloned().collect();
        self.live.note(|health| {
            health.notified = notified;
            health.polled_jobs = polled;
            health.problems = problems;
            health.unreadable_files = broken as u64;
            health.resyncs += 1;
            health.last_resync = Some(Instant::now());
        });
        self.resync_at = Instant::now() + self.options.resync_interval;
        if resync.which != ResyncKind::Again {
            self.live.set_ready();
        }
        self.save_if_changed();
    }

    /// Begins to list the jobs folder, if its jobs may have changed. Idle jobs are not scanned one
    /// by one, so the listing has to report those that are missing.
    pub(super) fn begin_listing(&mut self) {
        if self.check_root() {
            self.root.list(&self.jobs, || self.idle.keys().cloned().collect());
        }
    }

    /// Checks the jobs folder, and watches it again if it was replaced. Returns whether it can be
    /// used.
    fn check_root(&mut self) -> bool {
        match self.root.check(&self.jobs, !self.live.is_empty()) {
            RootState::Unavailable => return false,
            RootState::Same => {}
            RootState::Replaced => {
                self.wake_all();
                self.forget_watches();
                if let Some(notifications) = &self.notifications
                    && let Err(error) = notifications.watch_root_again()
                {
                    self.stop_notifications(&error);
                }
            }
        }
        true
    }
}
