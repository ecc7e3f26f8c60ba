//! Locks: one server per jobs folder, one shim per repository.
//!
//! Both are record locks (fcntl(2), `F_SETLK`): children do not inherit them, not even for the
//! instant between fork and exec; they end with their holder however that dies, and `F_GETLK`
//! names the holder. So one question to the kernel tells whether a shim lives and which process
//! it is: no pid file, no reuse of pids.
//!
//! What must stay true: a process that holds a record lock never closes another descriptor of
//! that file, for that would drop the lock.

use super::StoreError;
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
    process::{Flock, FlockOffsetType, FlockType, Pid, PidfdFlags, fcntl_getlk, pidfd_open},
};
use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
};

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Held {
    _file: File,
}

/// A living process that holds a shim's lock, by a descriptor that cannot be taken for another.
#[derive(Debug)]
pub struct Holder {
    /// For people; signals go through the descriptor.
    pub pid: u32,
    pub pidfd: OwnedFd,
}

/// Takes a lock; `None` if another process has it.
pub fn take(path: &Path) -> Result<Option<Held>, StoreError> {
    let file = open(path).map_err(StoreError::at("open", path))?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Held { _file: file })),
        Err(Errno::ACCESS | Errno::AGAIN) => Ok(None),
        Err(error) => Err(StoreError::at("lock", path)(error.into())),
    }
}

/// Who holds a shim's lock; `None` if nobody does, or if there is no such file: what a scanner
/// may have put in its place is none that a shim could hold.
///
/// Must not be asked by a process that holds this very lock.
pub fn holder(path: &Path) -> Result<Option<Holder>, StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(facts) if facts.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::at("look at", path)(error)),
    }
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(StoreError::at("open", path))?;
    loop {
        let Some(pid) = ask(&file).map_err(StoreError::at("ask for the lock of", path))? else {
            return Ok(None);
        };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
            // It ended between the two questions.
            continue;
        };
        // If the same process still holds the lock, the descriptor is that process's.
        if ask(&file).map_err(StoreError::at("ask for the lock of", path))? == Some(pid) {
            return Ok(Some(Holder { pid: pid.as_raw_nonzero().get().cast_unsigned(), pidfd }));
        }
    }
}

fn ask(file: &File) -> io::Result<Option<Pid>> {
    let wish = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    // A holder in another pid namespace has no pid here; it lives, but cannot be named.
    let answer = fcntl_getlk(file, &wish)?;
    match answer {
        None => Ok(None),
        Some(Flock { pid: Some(pid), .. }) => Ok(Some(pid)),
        Some(Flock { pid: None, .. }) => {
            Err(io::Error::other("its holder lives in another pid namespace"))
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_nobody_took_has_no_holder() {
        let root = tempfile::tempdir().unwrap();
        assert!(holder(&root.path().join("missing")).unwrap().is_none());
    }
}
