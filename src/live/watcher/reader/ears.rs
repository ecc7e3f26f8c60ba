//! What the kernel tells of: which folders are watched, and what is done where they cannot be.
//!
//! What must stay true: without notifications, of one folder or of all, files are looked at instead,
//! and it is said; they are asked for again at each comparison.

use super::Reader;
use crate::{
    live::watcher::{folder::Watch, hints::translate},
    model::JobId,
    store::{layout::JobDir, read::is_missing_folder},
};
use notify::{ErrorKind, RecursiveMode, Watcher as _};

impl Reader {
    /// Has the kernel tell of changes, where that is wanted and it does not yet.
    pub(super) fn start_notify(&mut self) {
        let wanted = self.options.notify && self.notify.is_none();
        if !wanted || is_missing_folder(self.jobs.root()) {
            return;
        }
        let (root, sender) = (self.jobs.root().to_owned(), self.sender.clone());
        let started = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for message in translate(&root, event) {
                // The receiver is gone only when the thread is.
                let _ = sender.send(message);
            }
        });
        let watched = started.and_then(|mut notify| {
            notify.watch(self.jobs.root(), RecursiveMode::NonRecursive).map(|()| notify)
        });
        match watched {
            Ok(notify) => {
                if self.deaf.take().is_some() {
                    tracing::info!("the kernel tells of changes of files again");
                }
                self.notify = Some(notify);
                self.watch_all_anew();
            }
            Err(error) => self.note_deaf(&error),
        }
    }

    /// From now on files are looked at. Said once, though it is tried again at each comparison.
    pub(super) fn note_deaf(&mut self, error: &notify::Error) {
        self.notify = None;
        let limit = match &error.kind {
            ErrorKind::MaxFilesWatch => " (fs.inotify.max_user_watches)",
            _ => " (fs.inotify.max_user_instances?)",
        };
        let text = format!("files are looked at, for the kernel does not tell of changes{limit}");
        if self.deaf.replace(text).is_none() {
            tracing::warn!(%error, "no notifications of changes of files{limit}; polling");
        }
    }

    /// Watches are on folders, not on names, and end with the instance: all of them are set anew.
    pub(super) fn watch_all_anew(&mut self) {
        for folder in self.folders.values_mut() {
            folder.watch = Watch::Off;
            folder.listed = None;
        }
    }

    /// Whether something has to be looked at between two resyncs.
    pub(super) fn polls(&self) -> bool {
        self.notify.is_none() || self.folders.values().any(|it| it.watch == Watch::Polled)
    }

    /// Watches a job's folder, or has it looked at where that cannot be.
    pub(super) fn watch(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let Some(notify) = &mut self.notify else {
            folder.watch = Watch::Polled;
            return;
        };
        let path = folder.dir.path();
        folder.watch = match notify.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => Watch::Notified,
            Err(error) => {
                // Out of watches (fs.inotify.max_user_watches): those that stand go on.
                tracing::debug!(%error, folder = %path.display(), "not watched; polled");
                Watch::Polled
            }
        };
    }

    pub(super) fn unwatch(&mut self, dir: &JobDir, watch: Watch) {
        if watch == Watch::Notified
            && let Some(notify) = &mut self.notify
        {
            // Fails for a folder that is gone, whose watch went with it.
            let _ = notify.unwatch(dir.path());
        }
    }

    pub(super) fn rest_if_over(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        if folder.watch != Watch::Off && folder.is_over_and_quiet(&self.options) {
            // From here on it is looked at no more, so what is quiet now has to be told now.
            folder.job.settle(true);
            let (dir, watch) = (folder.dir.clone(), folder.watch);
            folder.watch = Watch::Off;
            self.unwatch(&dir, watch);
        }
    }
}
