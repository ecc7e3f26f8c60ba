//! What the kernel tells of: which folders are watched, and what is done where they cannot be.
//!
//! What must stay true: without notifications, of one folder or of all, files are looked at instead,
//! and it is said; they are asked for again at each comparison.

use super::Reader;
use crate::{
    live::watcher::{folder::Watch, notifications::Notifications},
    model::JobId,
    store::{layout::JobDir, read::is_missing_folder},
};
use notify::ErrorKind;
use std::sync::Arc;

impl Reader {
    /// Has the kernel tell of changes, where that is wanted and it does not yet.
    pub(super) fn start_notify(&mut self) {
        let wanted = self.options.notify && self.notifications.is_none();
        if !wanted || is_missing_folder(self.jobs.root()) {
            return;
        }
        match Notifications::start(self.jobs.root(), self.sender.clone()) {
            Ok(notifications) => {
                if self.deaf.take().is_some() {
                    tracing::info!("the kernel tells of changes of files again");
                }
                self.notifications = Some(Arc::new(notifications));
                self.watch_all_anew();
            }
            Err(error) => self.note_deaf(&error),
        }
    }

    /// From now on files are looked at. Said once, though it is tried again at each comparison.
    pub(super) fn note_deaf(&mut self, error: &notify::Error) {
        self.notifications = None;
        let limit = match error.kind {
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
        self.polled = 0;
    }

    /// Whether something has to be looked at between two resyncs.
    pub(super) fn polls(&self) -> bool {
        self.notifications.is_none() || self.polled > 0
    }

    /// Watches a job's folder, or has it looked at where that cannot be.
    pub(super) fn watch(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let path = folder.dir.path();
        let watch = match self.notifications.as_ref().map(|it| it.watch(path)) {
            None => Watch::Polled,
            Some(Ok(())) => Watch::Notified,
            Some(Err(error)) => {
                // Out of watches (fs.inotify.max_user_watches): those that stand go on.
                tracing::debug!(%error, folder = %path.display(), "not watched; polled");
                Watch::Polled
            }
        };
        let old = std::mem::replace(&mut folder.watch, watch);
        self.count_polled(old, watch);
    }

    /// A folder that is not kept any more needs no watch.
    pub(super) fn unwatch(&mut self, dir: &JobDir, watch: Watch) {
        self.count_polled(watch, Watch::Off);
        if watch == Watch::Notified
            && let Some(notifications) = &self.notifications
        {
            notifications.unwatch(dir.path());
        }
    }

    fn count_polled(&mut self, old: Watch, new: Watch) {
        self.polled += usize::from(new == Watch::Polled);
        self.polled -= usize::from(old == Watch::Polled);
    }
}
