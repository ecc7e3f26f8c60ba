//! Local repositories and folders, which only users of the command line can name.
//!
//! Input: an absolute path. Output: a tree. A bare repository is read in place, at HEAD or the
//! named revision; any other folder as it is on the disk, in a git work tree without ignored files.
//!
//! Invariants: nothing is written there, and no link is followed below the path.

mod folder;
mod module_cache;
mod work_tree;

pub(super) use folder::Folder;
pub(super) use module_cache::CacheFolders;
pub(super) use work_tree::{WorkTree, WorkTreeError};

use crate::store::read;
use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The longest file `.git` of a further work tree, in bytes.
const LONGEST_LINK: u64 = 8 << 10;

/// Why a local path cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error("`{}` cannot be scanned", path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("`{}` is not a folder: name the folder of a project, or a bare repository", path.display())]
    NoFolder { path: PathBuf },
    #[error(
        "`{}` is a plain folder, which is read as it is on the disk: a branch, tag or commit can \
         only be read of a bare repository, such as the folder .git of a work tree", path.display()
    )]
    ReferenceOfFolder { path: PathBuf },
}

/// The type of a local path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Local {
    Bare(PathBuf),
    WorkTree(Place),
    Folder(PathBuf),
}

/// A folder in a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The top of the work tree.
    pub(super) top: PathBuf,
    /// The folder of its repository.
    pub(super) git_dir: PathBuf,
    /// The path of the scanned folder below the top; empty for the top itself.
    pub(super) part: PathBuf,
}

impl Place {
    /// The scanned folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.top.join(&self.part)
    }

    /// Whether the repository may need files outside the work tree: of another work tree's repository, or
    /// objects that it borrows.
    pub(super) fn reaches_outside(&self) -> bool {
        let is_inside = self.git_dir.symlink_metadata().is_ok_and(|facts| facts.is_dir())
            && self.git_dir.starts_with(&self.top);
        let borrows = ["commondir", "objects/info/alternates"];
        !is_inside || borrows.iter().any(|name| self.git_dir.join(name).exists())
    }
}

/// Determines the type of a path. The path itself may be a symbolic link, because the user typed
/// it.
pub(super) fn open(path: &Path) -> Result<Local, LocalError> {
    let unreachable = |source| LocalError::Unreachable { path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(unreachable)?;
    let facts = fs::metadata(&real).map_err(unreachable)?;
    if !facts.is_dir() {
        return Err(LocalError::NoFolder { path: path.to_owned() });
    }
    if is_bare_repository(&real) {
        return Ok(Local::Bare(real));
    }
    Ok(match work_tree(&real, facts.uid()) {
        Some(place) => Local::WorkTree(place),
        None => Local::Folder(real),
    })
}

/// The work tree that a folder belongs to. As git does, a repository of another user is ignored: it would
/// decide which files are read.
fn work_tree(folder: &Path, owner: u32) -> Option<Place> {
    for top in folder.ancestors() {
        let marker = top.join(".git");
        let Ok(facts) = marker.symlink_metadata() else { continue };
        let git_dir = if facts.is_dir() { marker } else { linked_repository(top, &marker)? };
        if !git_dir.join("HEAD").exists() {
            // Git would look further up.
            continue;
        }
        let part = folder.strip_prefix(top).ok()?.to_owned();
        return (facts.uid() == owner).then(|| Place { top: top.to_owned(), git_dir, part });
    }
    None
}

/// The repository that a file `.git` names (gitrepository-layout(5)), as further work trees and submodules
/// have one.
fn linked_repository(top: &Path, file: &Path) -> Option<PathBuf> {
    let mut text = Vec::new();
    read::open(file).ok()?.take(LONGEST_LINK).read_to_end(&mut text).ok()?;
    let path = text.strip_prefix(b"gitdir: ")?.trim_ascii_end();
    fs::canonicalize(top.join(OsStr::from_bytes(path))).ok()
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
        // A folder within a work tree, and a folder beside it.
        let place = |part: &str| {
            let part = PathBuf::from(part);
            Local::WorkTree(Place { top: here.join("w"), git_dir: here.join("w/.git"), part })
        };
        fs::create_dir_all(here.join("w/a/b")).unwrap();
        fs::create_dir(here.join("w/.git")).unwrap();
        assert_eq!(open(&here.join("w")).unwrap(), Local::Folder(here.join("w")), "no repository");
        fs::File::create(here.join("w/.git/HEAD")).unwrap();
        assert_eq!(open(&here.join("w")).unwrap(), place(""));
        assert_eq!(open(&here.join("w/a/b")).unwrap(), place("a/b"));
        assert_eq!(open(&here).unwrap(), Local::Folder(here.clone()));
        let error = open(&here.join("missing")).unwrap_err();
        assert!(matches!(error, LocalError::Unreachable { .. }), "{error}");
    }
}
