//! The lock of a whole jobs folder: one server works in it.
//!
//! It is two locks. The record lock on the file `.lock` names its holder and is understood by every
//! version, but a file can be removed, and then the next server would lock another one of the same
//! name. So the folder itself is locked too (flock(2)): whoever uses this folder meets that lock.
//!
//! Input: the jobs folder. Output: the lock, and whether it is still this server's alone.
//! Invariants: both locks end with their process, and neither is inherited by what it starts.

use super::{
    StoreError,
    layout::JobsDir,
    lock::{self, Held},
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

/// For how long the lock of the folder is tried: a child of a server that was killed has a copy of
/// the descriptor between its fork and its exec.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// The lock of a server; released when it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct ServerLock {
    path: PathBuf,
    held: Mutex<Held>,
    /// `None` on a file system that cannot lock folders.
    _folder: Option<File>,
}

impl ServerLock {
    /// Takes the lock; `None` if another server has it.
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
                // Not every file system can do it; the lock file alone is what there was before.
                Err(_) => break None,
            }
        };
        Ok(Some(Self { path, held: Mutex::new(held), _folder: folder }))
    }

    /// Whether no other process has locked the file that is at the path of the lock now. Where it
    /// was removed or replaced, it is made and locked again. Blocks.
    pub fn is_ours(&self) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_at(&self.path) {
            return true;
        }
        match lock::take(&self.path) {
            Ok(Some(anew)) => {
                let path = self.path.display();
                tracing::warn!(%path, "the lock file was removed while this server runs; it is made and locked again");
                *held = anew;
                true
            }
            Ok(None) => false,
            // Not now; the folder itself is locked.
            Err(_) => true,
        }
    }
}
