//! Changes of status files, as a hint to send them.
//!
//! Input: the folders of the attempts that run. Output: a notification per status file that was replaced.
//!
//! Invariants: an event is a hint; whoever waits also reads at an interval, so that a lost event costs only time.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::ModifyKind};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

type Waiting = Arc<Mutex<HashMap<PathBuf, Arc<Notify>>>>;

/// The watches of an agent.
#[derive(Debug)]
pub(super) struct Mirror {
    waiting: Waiting,
    /// `None` if this machine has no inotify instance left; then files are read at an interval.
    watcher: Mutex<Option<RecommendedWatcher>>,
}

impl Mirror {
    pub(super) fn new() -> Self {
        let waiting = Waiting::default();
        let known = Arc::clone(&waiting);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)) | EventKind::Create(_)) {
                for path in &event.paths {
                    if let Some(changed) = lock(&known).get(path) {
                        changed.notify_one();
                    }
                }
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(%error, "inotify is not available; status files are read once a second");
        });
        Self { waiting, watcher: Mutex::new(watcher.ok()) }
    }

    /// Watches a status file, until [`Self::forget`].
    pub(super) fn watch(&self, status: &Path) -> Arc<Notify> {
        let changed = Arc::new(Notify::new());
        lock(&self.waiting).insert(status.to_owned(), Arc::clone(&changed));
        if let (Some(watcher), Some(folder)) = (self.watcher().as_mut(), status.parent())
            && let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive)
        {
            tracing::warn!(%error, "cannot watch a folder; its status files are read once a second");
        }
        changed
    }

    /// Ends the watch of a status file.
    pub(super) fn forget(&self, status: &Path) {
        let mut waiting = lock(&self.waiting);
        waiting.remove(status);
        let Some(folder) = status.parent() else { return };
        let is_used = waiting.keys().any(|path| path.parent() == Some(folder));
        drop(waiting);
        if !is_used && let Some(watcher) = self.watcher().as_mut() {
            // A folder that is gone has no watch.
            let _ = watcher.unwatch(folder);
        }
    }

    fn watcher(&self) -> MutexGuard<'_, Option<RecommendedWatcher>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<PathBuf, Arc<Notify>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
