//! Removes single paths.
//!
//! Input: paths that a module of this folder named. Output: they are gone.
//!
//! Invariants: a path that readers know is first renamed into `.staging`, so that it disappears for
//! every reader at once, and then removed there; `remove_dir_all` of the standard library does not
//! follow symbolic links.

use super::{StoreError, atomic};
use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

/// Removes a path of ours, at once for every reader.
pub(super) fn remove(staging: &Path, path: &Path) -> Result<(), StoreError> {
    let bin = tempfile::Builder::new()
        .prefix("trash-")
        .tempdir_in(staging)
        .map_err(StoreError::at("create a folder in", staging))?;
    match fs::rename(path, bin.path().join("removed")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::at("remove", path)(error)),
        Ok(()) => {
            let bin = bin.keep();
            // A removal must not be undone by a power cut.
            let flushed = atomic::flush_place(path);
            remove_folder(&bin).map_err(StoreError::at("remove", path))?;
            flushed.map_err(StoreError::at("flush the folder of", path))
        }
    }
}

/// Removes a folder with all its content, including folders that a scanner made read-only, as Go
/// does with its module cache.
#[expect(clippy::disallowed_methods, reason = "only paths that a module of this folder named")]
pub(super) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // `file_type` does not follow symbolic links.
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_folders_are_removed_and_the_targets_of_links_stay() {
        let root = tempfile::tempdir().unwrap();
        let (scratch, elsewhere) = (root.path().join("scratch"), root.path().join("else"));
        let cache = scratch.join("go/pkg/mod");
        fs::create_dir_all(&cache).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, cache.join("link")).unwrap();
        for folder in [&cache, &elsewhere] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).unwrap();
        }
        // Root may remove anything; any other user depends on `open_up`.
        open_up(&scratch).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&cache), mode(&elsewhere)), (0o700, 0o555));
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o555)).unwrap();
        remove_folder(&scratch).unwrap();
        assert!(!scratch.exists());
    }
}
