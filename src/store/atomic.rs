//! The atomic writer: the only writer of files that others read.
//!
//! Input: bytes and a target path. Output: the file, replaced as a whole.
//!
//! Invariants: a file is made in `.staging` (same file system, never watched), written, and renamed
//! over its target: a watcher sees one complete change, a reader never sees half a file. What must
//! be durable is fsynced before and after the rename; on ext4 a rename without fsync can leave
//! empty files after a power cut (measured).

use super::{StoreError, read};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tempfile::NamedTempFile;

/// How durable a write is when the writer returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and folder are fsynced: the creation of a job, final states, results.
    Flushed,
    /// The file is fsynced, its folder is not: after a power cut there is the old file or the new
    /// one, whole. For files in a folder that is created as a whole, and for files that must never
    /// be torn.
    Content,
    /// Nothing is fsynced: progress.
    Eventual,
}

/// Replaces `path` by `bytes`. `staging` lies on the same file system.
///
/// # Errors
/// If the disk refuses. A failed fsync is a failed write: the old file stays, and the temporary
/// file is removed.
pub fn replace(
    staging: &Path,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), StoreError> {
    write(staging, path, bytes, durability).map_err(StoreError::at("write", path))
}

/// Replaces `path` by a file with the content that `fill` writes.
///
/// # Errors
/// As [`replace`].
pub fn replace_with(
    staging: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    durability: Durability,
) -> Result<(), StoreError> {
    make(staging, path, fill, durability).map_err(StoreError::at("write", path))
}

/// Replaces a file of the user's own, and makes it durable. A new file has the permissions that the umask
/// leaves; one that was there before keeps its permissions.
///
/// # Errors
/// As [`replace`].
pub fn replace_own(staging: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let replace = || {
        let mut file = new_file_of(staging, 0o666)?;
        file.write_all(bytes)?;
        if let Ok(old) = std::fs::metadata(path) {
            file.as_file().set_permissions(old.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        flush_place(path)
    };
    replace().map_err(StoreError::at("write", path))
}

/// Replaces `path` by `value` as JSON, indented by 2.
pub fn replace_json(
    staging: &Path,
    path: &Path,
    value: &impl Serialize,
    durability: Durability,
) -> Result<(), StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| StoreError {
        action: "write",
        path: path.into(),
        source: error.into(),
    })?;
    bytes.push(b'\n');
    replace(staging, path, &bytes, durability)
}

/// Fsyncs a file that another process wrote and renamed into place, and its folder.
///
/// # Errors
/// If the disk refuses. The file must then be rewritten by [`rewrite`]: the kernel drops pages that
/// it could not write and reports that only once, so another fsync would seem to succeed.
pub fn flush(path: &Path) -> Result<(), StoreError> {
    flush_content(path)?;
    flush_place(path).map_err(StoreError::at("flush", path))
}

/// Fsyncs the content of a file that another process wrote. Succeeds if the path is missing or not
/// a regular file: readers report that.
pub fn flush_content(path: &Path) -> Result<(), StoreError> {
    if !std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file()) {
        return Ok(());
    }
    match read::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("flush", path)),
    }
}

/// Fsyncs a folder, which makes the names in it durable.
pub fn flush_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StoreError::at("flush", path))
}

/// Rewrites a file with its own content, fsynced.
pub fn rewrite(staging: &Path, path: &Path) -> Result<(), StoreError> {
    let rewrite = || {
        let mut old = read::open(path)?;
        let copy = |new: &mut File| io::copy(&mut old, new).map(drop);
        make(staging, path, copy, Durability::Flushed)
    };
    rewrite().map_err(StoreError::at("rewrite", path))
}

/// Replaces `path` by what `write_content` writes, fsynced.
///
/// # Errors
/// If the disk refuses, or `write_content` fails: then the old file stays.
pub fn replace_by(
    staging: &Path,
    path: &Path,
    write_content: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    make(staging, path, write_content, Durability::Flushed).map_err(StoreError::at("write", path))
}

fn write(staging: &Path, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    make(staging, path, |file| file.write_all(bytes), durability)
}

fn make(
    staging: &Path,
    path: &Path,
    write_content: impl FnOnce(&mut File) -> io::Result<()>,
    durability: Durability,
) -> io::Result<()> {
    let mut file = new_file(staging)?;
    write_content(file.as_file_mut())?;
    if durability != Durability::Eventual {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    if durability == Durability::Flushed {
        // The rename is durable only once the folder is fsynced.
        flush_place(path)?;
    }
    Ok(())
}

/// A new file with a unique name; it is removed on drop.
pub(super) fn new_file(staging: &Path) -> io::Result<NamedTempFile> {
    // The folder's mode protects the file; operators who may enter the folder may read it.
    new_file_of(staging, 0o640)
}

fn new_file_of(staging: &Path, mode: u32) -> io::Result<NamedTempFile> {
    // Opened here and not by the crate, so that errors are the system's own.
    tempfile::Builder::new().prefix("write-").make_in(staging, |path| {
        OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
    })
}

/// Fsyncs the parent folder of a path, which makes its creation or removal durable.
pub(super) fn flush_place(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary_one() {
        let root = tempfile::tempdir().unwrap();
        let staging = root.path().join("staging");
        std::fs::create_dir(&staging).unwrap();
        let path = root.path().join("file.json");
        replace(&staging, &path, b"old", Durability::Flushed).unwrap();

        // A folder at the target's path makes the rename fail.
        let blocked = root.path().join("folder");
        std::fs::create_dir_all(blocked.join("inside")).unwrap();
        let error = replace(&staging, &blocked, b"new", Durability::Eventual).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");

        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    }

    #[test]
    fn json_is_indented_and_ends_with_a_newline() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.json");
        replace_json(root.path(), &path, &serde_json::json!({"a": 1}), Durability::Eventual)
            .unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\n  \"a\": 1\n}\n");
    }
}
