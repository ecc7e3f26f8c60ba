//! inotify watches, and polling of the folders that cannot have one.
//!
//! Input: folders, and errors of inotify. Output: watches; folders that are polled; problems for
//! `/health`.
//!
//! Invariants: if inotify is not available, for one folder or for all, the folders are polled, and
//! this is reported; each resync tries again to get watches.

use super::JobsReader;
use crate::{
    live::watcher::{folder::Watch, notifications::Notifications},
    model::JobId,
    store::{layout::JobDir, read::is_missing_folder},
};
use notify::ErrorKind;
use std::sync::Arc;

impl JobsReader {
    /// Starts inotify, if it is enabled and not running.
    pub(super) fn start_notify(&mut self) {
        let wanted = self.options.notify && self.notifications.is_none();
        if !wanted || is_missing_folder(self.jobs.root()) {
            return;
        }
        match Notifications::start(self.jobs.root(), self.sender.clone()) {
            Ok(notifications) => {
                if self.notify_problem.take().is_some() {
                    tracing::info!("inotify is available again; watching the jobs folder");
                }
                self.notifications = Some(Arc::new(notifications));
                self.forget_watches();
            }
            Err(error) => self.stop_notifications(&error),
        }
    }

    /// Switches to polling. Logged once, although each resync tries again.
    pub(super) fn stop_notifications(&mut self, error: &notify::Error) {
        self.notifications = None;
        let limit = match error.kind {
            ErrorKind::MaxFilesWatch => "fs.inotify.max_user_watches reached",
            _ => "fs.inotify.max_user_instances reached?",
        };
        let text = format!("inotify is not available ({limit}); polling");
        if self.notify_problem.replace(text).is_none() {
            tracing::warn!(%error, "inotify is not available ({limit}); polling the jobs folder");
        }
    }

    /// Forgets all watches, because they belong to folders, not names, and end with the inotify
    /// instance. They are requested again.
    pub(super) fn forget_watches(&mut self) {
        for folder in self.folders.values_mut() {
            folder.watch = Watch::Off;
            folder.listed = None;
        }
        self.polled = 0;
    }

    /// Whether a folder has to be polled between two resyncs.
    pub(super) fn is_polling(&self) -> bool {
        self.notifications.is_none() || self.polled > 0
    }

    /// Watches a job's folder, or has it polled if it cannot get a watch.
    pub(super) fn watch(&mut self, id: &JobId) {
        let Some(folder) = self.folders.get_mut(id) else { return };
        let path = folder.dir.path();
        let watch = match self.notifications.as_ref().map(|notifications| notifications.watch(path))
        {
            None => Watch::Polled,
            Some(Ok(())) => Watch::Notified,
            Some(Err(error)) => {
                // The watch limit is reached (fs.inotify.max_user_watches). Existing watches stay.
                tracing::debug!(%error, folder = %path.display(), "cannot watch the job's folder; polling it");
                Watch::Polled
            }
        };
        let old = std::mem::replace(&mut folder.watch, watch);
        self.count_polled(old, watch);
    }

    /// Removes the watch of a folder that is not needed any more.
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
