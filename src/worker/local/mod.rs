//! Local repositories and folders, which only users of the command line can name.
//!
//! Input: an absolute path. Output: a tree. A bare repository is read in place, at HEAD or the
//! named revision; any other folder as it is on the disk.
//!
//! Invariants: nothing is written there, and no link is followed below the path.

mod folder;

pub(super) use folder::Folder;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why a local path cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error("`{}` cannot be scanned", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("`{}` is not a folder: name the folder of a project, or a bare repository", path.display())]
    NoFolder { path: PathBuf },
    #[error(
        "`{}` is a plain folder, which is read as it is on the disk: a branch, tag or commit can \
         only be read of a bare repository", path.display()
    )]
    ReferenceOfFolder { path: PathBuf },
}

/// The type of a local path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Local {
    Bare(PathBuf),
    Folder(PathBuf),
}

/// Determines the type of a path. The path itself may be a symbolic link, because the user typed
/// it.
pub(super) fn open(path: &Path) -> Result<Local, LocalError> {
    let unreachable = |source| LocalError::Unreachable { path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(unreachable)?;
    if !fs::metadata(&real).map_err(unreachable)?.is_dir() {
        return Err(LocalError::NoFolder { path: path.to_owned() });
    }
    Ok(if is_bare_repository(&real) { Local::Bare(real) } else { Local::Folder(real) })
}

/// Whether a folder has the layout of gitrepository-layout(5) and is not a work tree.
fn is_bare_repository(path: &Path) -> bool {
    path.join("HEAD").is_file()
        && path.join("objects").is_dir()
        && path.join("refs").is_dir()
        && !path.join(".git").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_repositories_and_folders_are_distinguished() {
        let root = tempfile::tempdir().unwrap();
        let here = fs::canonicalize(root.path()).unwrap();
        let bare = here.join("a.git");
        for folder in ["objects", "refs"] {
            fs::create_dir_all(bare.join(folder)).unwrap();
        }
        assert_eq!(open(&bare).unwrap(), Local::Folder(bare.clone()));
        fs::File::create(bare.join("HEAD")).unwrap();
        assert_eq!(open(&bare).unwrap(), Local::Bare(bare.clone()));
        let error = open(&bare.join("HEAD")).unwrap_err();
        assert!(matches!(error, LocalError::NoFolder { .. }), "{error}");
        let error = open(&here.join("missing")).unwrap_err();
        assert!(matches!(error, LocalError::Unreachable { .. }), "{error}");
    }
}
