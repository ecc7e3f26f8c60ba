//! The server's lock of the jobs folder: only one server works in it.
//!
//! It consists of two locks. The record lock on the file `.lock` names its holder and is understood
//! by every version, but if the file is removed, the next server would lock a different file of the
//! same name. So the folder itself is locked too (flock(2)).
//!
//! Input: the jobs folder. Output: the lock, and whether this server is still its only holder.
//! Invariants: both locks end with their process, and no child inherits them.

use super::{
    StoreError,
    layout::JobsDir,
    lock::{self, RecordLock},
};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::File,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long taking the folder's lock is retried: a child of a killed server has a copy of the
/// descriptor between its fork and its exec.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// The lock of a server; released on drop.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct ServerLock {
    path: PathBuf,
    held: Mutex<RecordLock>,
    /// `None` on a file system that cannot lock folders.
    _folder: Option<File>,
}

impl ServerLock {
    /// Takes the lock; `None` if another server holds it.
    pub fn take(jobs: &JobsDir) -> Result<Option<Self>, StoreError> {
        let path = jobs.server_lock();
        let Some(held) = lock::take(&path)? else { return Ok(None) };
        let folder = File::open(jobs.root()).map_err(StoreError::at("open", jobs.root()))?;
        let until = Instant::now() + PATIENCE;
        let folder = loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break Some(folder),
                Err(Errno::WOULDBLOCK) if Instant::now() >= until => return Ok(None),
                Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(PAUSE),
                // Not every file system supports this; then only the lock file protects the folder.
                Err(_) => break None,
            }
        };
        Ok(Some(Self { path, held: Mutex::new(held), _folder: folder }))
    }

    /// Whether no other process has locked the file at the lock's path. A removed or replaced lock
    /// file is created and locked again. Blocks.
    pub fn is_ours(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_at(&self.path) {
            return true;
        }
        match lock::take(&self.path) {
            Ok(Some(anew)) => {
                let path = self.path.display();
                tracing::warn!(%path, "the lock file was removed while this server was running; it has been created and locked again");
                *held = anew;
                true
            }
            Ok(None) => false,
            // Creating it failed; the folder itself is still locked.
            Err(_) => true,
        }
    }
}
