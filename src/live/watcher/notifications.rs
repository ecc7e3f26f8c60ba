//! The kernel's notifications of changes in the jobs folder and in the jobs' folders, by `notify`.
//!
//! Input: folders to watch. Output: hints, as messages to the watcher's thread, from the thread of `notify`.
//! Invariants: folders are watched one by one, never recursively; several threads may ask for watches; a
//! folder that is watched twice has one watch.

use super::{Message, hints::translate};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc::Sender},
};

/// A `notify` watcher, until this is dropped.
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
                // The receiver is gone only when the watcher's thread is.
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

    /// Ends the watch of a folder, if it has one: that of a removed folder went with it.
    pub(super) fn unwatch(&self, folder: &Path) {
        let _ = self.watcher().unwatch(folder);
    }

    /// Watches the jobs folder anew, after another one has taken its place.
    pub(super) fn watch_root_again(&self) -> notify::Result<()> {
        self.unwatch(&self.root);
        self.watch(&self.root)
    }

    fn watcher(&self) -> MutexGuard<'_, RecommendedWatcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
