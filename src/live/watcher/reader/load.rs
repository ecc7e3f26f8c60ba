//! Adds the jobs that the loader threads read at the start to the cache.
//!
//! Input: jobs with the content of their files. Output: the same jobs in the cache.
//!
//! Invariants: a job that this thread has read meanwhile, or that was removed, is not added; this
//! thread reads the files that are not known; once the loaders have ended, it also reads the jobs
//! that they did not deliver.

use super::{JobsReader, Resync, TURN, recent::RecentJob};
use crate::{
    live::watcher::{
        folder::{FinalStates, Folder, Watch},
        loader::{Loaded, LoadedFolder, Loader},
    },
    model::JobId,
};
use std::{sync::Arc, time::Instant};

/// The running loader threads.
pub(super) struct Loading {
    threads: usize,
    /// How many jobs were taken from copies, and how many were read.
    from_copies: usize,
    read: usize,
    _loader: Loader,
}

impl Loading {
    /// Whether all loaders have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.threads == 0
    }
}

impl JobsReader {
    pub(super) fn start_loading(&mut self, ids: Vec<JobId>) {
        let job_index = Arc::clone(self.live.job_index());
        let notifications = self.notifications.clone();
        let copies = std::mem::take(&mut self.copies);
        let (jobs, options) = (&self.jobs, self.options);
        let loader =
            Loader::start(jobs, options, job_index, notifications, copies, ids, &self.sender);
        self.loading =
            Some(Loading { threads: loader.threads(), from_copies: 0, read: 0, _loader: loader });
    }

    pub(super) fn loader_ended(&mut self) {
        if let Some(loading) = &mut self.loading {
            loading.threads = loading.threads.saturating_sub(1);
        }
    }

    /// A turn for loaded jobs.
    pub(super) fn add_loaded(&mut self) {
        let end = Instant::now() + TURN;
        while let Some(loaded) = self.loaded.pop_front() {
            self.add_loaded_job(loaded);
            if Instant::now() >= end {
                return;
            }
        }
        if let Some(loading) = self.loading.take_if(|loading| loading.has_ended()) {
            let Loading { from_copies, read, .. } = loading;
            tracing::info!(from_copies, read, "the jobs are loaded");
            let left = self.resync.iter().flat_map(Resync::left);
            for id in left.filter(|id| !self.folders.contains_key(*id)) {
                self.queue.queue_scan(id);
            }
        }
    }

    fn add_loaded_job(&mut self, loaded: Loaded) {
        let Loaded { job, folder } = loaded;
        let id = job.id().clone();
        let known = self.folders.contains_key(&id);
        if known || !self.is_beginning(&id) {
            // If the folder is known, the watch is the one of this thread.
            if folder.is_watched()
                && !known
                && let Some(notifications) = &self.notifications
            {
                notifications.unwatch(self.jobs.job(&id).path());
            }
            return;
        }
        if let Some(loading) = &mut self.loading {
            let is_copy = matches!(folder, LoadedFolder::Packed(_));
            *(if is_copy { &mut loading.from_copies } else { &mut loading.read }) += 1;
        }
        self.live.insert_read(Arc::clone(&job));
        match folder {
            LoadedFolder::Packed(idle) => {
                job.finalize(true);
                self.idle.insert(id.clone(), idle);
                self.note_scanned(&id);
            }
            LoadedFolder::Idle(idle) => {
                job.finalize(true);
                self.idle_changed = true;
                self.idle.insert(id.clone(), idle);
                self.note_scanned(&id);
            }
            LoadedFolder::Recent(idle, still_since) => {
                job.finalize(false);
                self.idle.insert(id.clone(), idle);
                self.recent.push_back(RecentJob { id: id.clone(), still_since });
                self.note_scanned(&id);
            }
            LoadedFolder::Other { listed, files, complete, watched, still_since } => {
                let dir = self.jobs.job(&id);
                let mut folder = Folder::of_known(job, dir, &listed, files, still_since);
                folder.watch = if watched { Watch::Notified } else { Watch::Off };
                self.add_loaded_folder(&id, folder, complete);
            }
        }
    }

    /// `complete`: whether all its files are known.
    fn add_loaded_folder(&mut self, id: &JobId, mut folder: Folder, complete: bool) {
        // Without inotify, every folder that is not idle is polled: no change is missed.
        let noticed = folder.watch == Watch::Notified || self.notifications.is_none();
        let known = complete && (noticed || folder.is_over_and_quiet(&self.options));
        if known {
            folder.job.finalize(folder.is_quiet(&self.options));
        } else {
            // This thread reads the rest, as if nothing had been listed.
            (folder.listed, folder.final_states) = (None, FinalStates::PublishAtOnce);
            self.queue.queue_scan(id);
        }
        self.folders.insert(id.clone(), folder);
        self.make_idle_if_finished(id);
        if self.folders.get(id).is_some_and(|folder| folder.watch == Watch::Off) {
            self.watch(id);
        }
        if known {
            self.note_scanned(id);
        }
    }
}
