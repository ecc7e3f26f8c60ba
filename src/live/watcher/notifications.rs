//! inotify watches of the jobs folder and of the jobs' folders, by the crate `notify`.
//!
//! Input: folders to watch. Output: hints, sent to the watcher's thread from the thread of
//! `notify`.
//!
//! Invariants: folders are watched one by one, never recursively; several threads may request
//! watches; a folder that is watched twice has one watch.

use super::{Message, hints::translate};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc::Sender},
};

/// A `notify` watcher, which stops when this is dropped.
#[derive(Debug)]
pub(super) struct Notifications {
    watcher: Mutex<RecommendedWatcher>,
    root: PathBuf,
}

impl Notifications {
    /// Starts with a watch of the jobs folder.
    pub(super) fn start(root: &Path, inbox: Sender<Message>) -> notify::Result<Self> {
        let below = root.to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            for message in translate(&below, event) {
                // The receiver is gone only after the watcher's thread has ended.
                let _ = inbox.send(message);
            }
        })?;
        let notifications = Self { watcher: Mutex::new(watcher), root: root.to_owned() };
        notifications.watch(root)?;
        Ok(notifications)
    }

    /// Watches a folder: the jobs folder, or a job's.
    pub(super) fn watch(&self, folder: &Path) -> notify::Result<()> {
        self.watcher().watch(folder, RecursiveMode::NonRecursive)
    }

    /// Ends the watch of a folder, if it has one. The watch of a removed folder no longer exists.
    pub(super) fn unwatch(&self, folder: &Path) {
        let _ = self.watcher().unwatch(folder);
    }

    /// Watches the jobs folder again, after it was replaced by another folder.
    pub(super) fn watch_root_again(&self) -> notify::Result<()> {
        self.unwatch(&self.root);
        self.watch(&self.root)
    }

    fn watcher(&self) -> MutexGuard<'_, RecommendedWatcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
