//! Taking in the jobs that others have read at the start.
//!
//! Input: jobs with what their files say. Output: the same jobs in the cache.
//! Invariants: a job that this thread has read meanwhile, or that is gone, is not taken in; what is not
//! known of one is read by this thread; when no more come, so are those that did not come.

use super::{Reader, Sweep, TURN};
use crate::{
    live::watcher::{
        folder::{Ends, Folder, Watch},
        loader::{Loaded, LoadedFolder, Loader},
    },
    model::JobId,
};
use std::{sync::Arc, time::Instant};

/// The threads that read the jobs.
pub(super) struct Loading {
    threads: usize,
    _loader: Loader,
}

impl Loading {
    /// Whether no more jobs come than have come.
    pub(super) fn has_ended(&self) -> bool {
        self.threads == 0
    }
}

impl Reader {
    pub(super) fn start_loading(&mut self, ids: Vec<JobId>) {
        let board = Arc::clone(self.live.board());
        let notifications = self.notifications.clone();
        let loader =
            Loader::start(&self.jobs, self.options, board, notifications, ids, &self.sender);
        self.loading = Some(Loading { threads: loader.threads(), _loader: loader });
    }

    pub(super) fn loader_ended(&mut self) {
        if let Some(loading) = &mut self.loading {
            loading.threads = loading.threads.saturating_sub(1);
        }
    }

    /// A turn for them.
    pub(super) fn take_in_loaded(&mut self) {
        let end = Instant::now() + TURN;
        while let Some(loaded) = self.loaded.pop_front() {
            self.take_in_job(loaded);
            if Instant::now() >= end {
                return;
            }
        }
        if self.loading.take_if(|it| it.has_ended()).is_some() {
            let left = self.sweep.iter().flat_map(Sweep::left);
            for id in left.filter(|id| !self.folders.contains_key(*id)) {
                self.agenda.scan(id);
            }
        }
    }

    fn take_in_job(&mut self, loaded: Loaded) {
        let Loaded { job, folder } = loaded;
        let id = job.id().clone();
        let known = self.folders.contains_key(&id);
        if known || !self.is_beginning(&id) {
            // A watch of a folder that is known is the folder's own.
            if folder.is_watched()
                && !known
                && let Some(notifications) = &self.notifications
            {
                notifications.unwatch(self.jobs.job(&id).path());
            }
            return;
        }
        self.live.insert_read(Arc::clone(&job));
        match folder {
            LoadedFolder::Resting(resting) => {
                job.settle(true);
                self.resting.insert(id.clone(), resting);
                self.note_scanned(&id);
            }
            LoadedFolder::Other { listed, files, complete, watched, still_since } => {
                let dir = self.jobs.job(&id);
                let mut folder = Folder::of_known(job, dir, &listed, files, still_since);
                folder.watch = if watched { Watch::Notified } else { Watch::Off };
                self.take_in_folder(&id, folder, complete);
            }
        }
    }

    /// `complete`: all its files are known.
    fn take_in_folder(&mut self, id: &JobId, mut folder: Folder, complete: bool) {
        // Without notifications every folder that does not rest is polled: nothing is missed.
        let noticed = folder.watch == Watch::Notified || self.notifications.is_none();
        let known = complete && (noticed || folder.is_over_and_quiet(&self.options));
        if known {
            folder.job.settle(folder.is_quiet(&self.options));
        } else {
            // The rest is read by this thread, as if nothing had been listed.
            (folder.listed, folder.ends) = (None, Ends::ToldAtOnce);
            self.agenda.scan(id);
        }
        self.folders.insert(id.clone(), folder);
        self.rest_if_over(id);
        if self.folders.get(id).is_some_and(|it| it.watch == Watch::Off) {
            self.watch(id);
        }
        if known {
            self.note_scanned(id);
        }
    }
}
