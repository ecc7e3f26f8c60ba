//! The only writer of files that others read.
//!
//! A file is made in `.staging` (same file system, never watched), written, and renamed over
//! its target: a watcher hears of one complete change, a reader never sees half a file. What
//! must survive a power cut is flushed before and after the rename; measured on ext4, a rename
//! without the flush leaves empty files.

use super::{StoreError, read};
use serde::Serialize;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tempfile::NamedTempFile;

/// Whether a write has to be on the disk when the writer returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and folder are flushed: the creation of a job, final states, results.
    Flushed,
    /// The file is flushed, its folder is not: after a power cut there is the old file or the new
    /// one, whole. For a folder that is made whole, and for what must never be torn.
    Content,
    /// The kernel may take its time: progress.
    Eventual,
}

/// Replaces `path` by `bytes`. `staging` lies on the same file system.
///
/// # Errors
/// Whatever the disk says. A failed flush is a failed write: the old file stays, and the
/// temporary one is removed.
pub fn replace(
    staging: &Path,
    path: &Path,
    bytes: &[u8],
    durability: Durability,
) -> Result<(), StoreError> {
    write(staging, path, bytes, durability).map_err(StoreError::at("write", path))
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

/// Flushes a file that somebody else wrote and renamed into place, and its folder.
///
/// # Errors
/// Whatever the disk says. Then it has to be written anew, by [`rewrite`]: the kernel drops what it
/// could not write and says so once, so that another flush would seem to work.
pub fn flush(path: &Path) -> Result<(), StoreError> {
    flush_content(path)?;
    flush_place(path).map_err(StoreError::at("flush", path))
}

/// Flushes what is in a file that somebody else wrote. Fine if there is none, or something else in
/// its place: that is for whoever reads it to say.
pub fn flush_content(path: &Path) -> Result<(), StoreError> {
    if !std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file()) {
        return Ok(());
    }
    match read::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(StoreError::at("flush", path)),
    }
}

/// Flushes a folder: the names that are in it.
pub fn flush_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|it| it.sync_all()).map_err(StoreError::at("flush", path))
}

/// Writes a file anew with what is in it, flushed.
pub fn rewrite(staging: &Path, path: &Path) -> Result<(), StoreError> {
    let rewrite = || {
        let mut old = read::open(path)?;
        let copy = |new: &mut File| io::copy(&mut old, new).map(drop);
        make(staging, path, copy, Durability::Flushed)
    };
    rewrite().map_err(StoreError::at("rewrite", path))
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
        // The rename itself is durable only once the folder is flushed.
        flush_place(path)?;
    }
    Ok(())
}

/// A new file with a name that no other has; it is removed when this is dropped.
pub(super) fn new_file(staging: &Path) -> io::Result<NamedTempFile> {
    // Opened here, and not by the crate, so that an error is the system's own.
    tempfile::Builder::new().prefix("write-").make_in(staging, |path| {
        let mut options = OpenOptions::new();
        // The folder's mode guards; operators who may enter it may read what is in it.
        options.read(true).write(true).create_new(true).mode(0o640).open(path)
    })
}

/// Flushes the folder that something lies in: its name, or that it has none any more.
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

        // A folder in the place of the target makes the rename fail.
        let blocked = root.path().join("folder");
        std::fs::create_dir_all(blocked.join("inside")).unwrap();
        let error = replace(&staging, &blocked, b"new", Durability::Eventual).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");

        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    }

    #[test]
    fn json_is_indented_and_ends_its_line() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.json");
        replace_json(root.path(), &path, &serde_json::json!({"a": 1}), Durability::Eventual)
            .unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\n  \"a\": 1\n}\n");
    }
}
