//! Reserved disk space for a file that must be written even if the disk is full: the final state of
//! an attempt.
//!
//! Input: a path in `.staging`. Output: a file with its inode and blocks allocated, filled and
//! renamed into place when it is needed.
//!
//! Invariant: while the reserve exists, [`Reserve::replace`] needs no further space for content of up
//! to [`SIZE`] bytes.

use super::{StoreError, atomic};
use rustix::fs::{FallocateFlags, fallocate};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The reserved size: far more than a usual status needs.
pub const SIZE: usize = 64 << 10;

/// A file with reserved space; removed on drop.
#[derive(Debug)]
pub struct Reserve {
    file: File,
    path: PathBuf,
}

impl Reserve {
    /// Reserves the space.
    pub fn make(path: &Path) -> Result<Self, StoreError> {
        let make = || {
            // Left by a shim of the same attempt that died before it could claim it.
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o640).open(path)?;
            let mut reserve = Self { file, path: path.to_owned() };
            reserve.fill()?;
            Ok(reserve)
        };
        make().map_err(StoreError::at("reserve space at", path))
    }

    fn fill(&mut self) -> io::Result<()> {
        let flags = FallocateFlags::empty();
        match fallocate(&self.file, flags, 0, SIZE as u64) {
            Err(rustix::io::Errno::OPNOTSUPP) => self.file.write_all(&vec![b' '; SIZE]),
            other => Ok(other?),
        }
    }

    /// Replaces `target` by these bytes, fsynced. On failure the reserved file stays as it is.
    pub fn replace(&mut self, target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut replace = || {
            self.file.rewind()?;
            self.file.write_all(bytes)?;
            // The unused blocks are released only after the content is written.
            self.file.set_len(bytes.len() as u64)?;
            self.file.sync_all()?;
            std::fs::rename(&self.path, target)?;
            atomic::flush_place(target)
        };
        replace().map_err(StoreError::at("write", target))
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // The file is gone if it was used.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether an error means that the disk is full.
pub fn is_full(error: &StoreError) -> bool {
    matches!(error.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_space_becomes_the_file_and_is_released_if_it_is_not_needed() {
        let root = tempfile::tempdir().unwrap();
        let (path, target) = (root.path().join("reserve"), root.path().join("repo_0.json"));
        atomic::replace(root.path(), &target, b"old", atomic::Durability::Eventual).unwrap();
        let mut reserve = Reserve::make(&path).unwrap();
        assert_eq!(path.metadata().unwrap().len(), SIZE as u64);
        reserve.replace(&target, b"{}\n").unwrap();
        drop(reserve);
        assert_eq!(std::fs::read(&target).unwrap(), b"{}\n");
        drop(Reserve::make(&path).unwrap());
        assert!(!path.exists());
    }
}
