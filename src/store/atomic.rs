//! The only writer of files that others read.
//!
//! A file is made in `.staging` (same file system, never watched), written, and renamed over
//! its target: a watcher hears of one complete change, a reader never sees half a file. What
//! must survive a power cut is flushed before and after the rename; measured on ext4, a rename
//! without the flush leaves empty files.

use super::StoreError;
use serde::Serialize;
use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Whether a write has to be on the disk when the writer returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// File and folder are flushed: the creation of a job, final states, results.
    Flushed,
    /// The file is flushed, its folder is left to the caller: for a folder that is made whole.
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
pub fn flush(path: &Path) -> Result<(), StoreError> {
    let flush = || {
        File::open(path)?.sync_all()?;
        flush_folder(path)
    };
    flush().map_err(StoreError::at("flush", path))
}

fn write(staging: &Path, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix("write-")
        // The folder's mode guards; operators who may enter it may read what is in it.
        .permissions(Permissions::from_mode(0o640))
        .tempfile_in(staging)?;
    file.write_all(bytes)?;
    if durability != Durability::Eventual {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    if durability == Durability::Flushed {
        // The rename itself is durable only once the folder is flushed.
        flush_folder(path)?;
    }
    Ok(())
}

fn flush_folder(path: &Path) -> io::Result<()> {
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
