//! A git work tree as a tree: its tracked files, ignored or not, and its untracked files that are not
//! ignored, as they are on the disk.
//!
//! Input: what git knows about the work tree. Output: its files. Invariants: as for a [`Folder`]: links are not
//! followed, only regular files are opened, and untracked files in folders that tools create are skipped.
//! Ignored files are counted and not read, unless everything is wanted.

use super::{
    Folder, LocalError,
    folder::{content, is_generated, sizes},
};
use crate::{
    model::task::Limits,
    worker::{
        git::{Checkout, GitError, Mode, Tracked},
        limits::Caps,
        stop::Stop,
        tree::{Content, Entry, Kind, Tree, TreeError},
    },
};
use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// A work tree, as a tree that can be scanned.
#[derive(Debug)]
pub(crate) struct WorkTree<'a> {
    checkout: Checkout<'a>,
    tracked: Vec<Tracked>,
    /// Whether ignored files are read, too.
    everything: bool,
    stop: Stop,
    has_untracked: bool,
    /// Folders below the top: whether they are real folders, not links.
    real: HashMap<PathBuf, bool>,
    /// Folders below the top: whether a tool has created them.
    generated: HashMap<PathBuf, bool>,
}

/// Why a work tree cannot be read.
#[derive(Debug)]
pub(crate) enum WorkTreeError {
    Git(GitError),
    Local(LocalError),
}

impl From<GitError> for TreeError<WorkTreeError> {
    fn from(error: GitError) -> Self {
        Self::Source(WorkTreeError::Git(error))
    }
}

/// Receives the entries of a tree.
type Visit<'v> = &'v mut dyn FnMut(Entry<PathBuf>);

impl<'a> WorkTree<'a> {
    /// Lists the tracked files of a work tree.
    ///
    /// # Errors
    /// If git cannot read the repository of the work tree.
    pub(crate) fn open(
        checkout: Checkout<'a>,
        limits: &Limits,
        everything: bool,
        stop: &Stop,
    ) -> Result<Self, GitError> {
        let tracked = checkout.tracked(limits)?;
        Ok(Self {
            checkout,
            tracked,
            everything,
            stop: stop.clone(),
            has_untracked: false,
            real: HashMap::new(),
            generated: HashMap::new(),
        })
    }

    /// Whether git tracks nothing in the scanned folder and ignores everything in it.
    pub(crate) fn is_ignored(&self, limits: &Limits) -> Result<bool, GitError> {
        if self.checkout.part().as_os_str().is_empty() || !self.tracked.is_empty() {
            return Ok(false);
        }
        let mut is_ignored = true;
        self.checkout.untracked(&Caps::new(limits), &mut |_| {
            is_ignored = false;
            false
        })?;
        Ok(is_ignored)
    }

    /// The commit that the work tree is based on.
    pub(crate) fn commit(&self) -> Option<&str> {
        self.checkout.commit()
    }

    /// Whether the work tree differs from its commit in what was read. Call it after the files were listed.
    pub(crate) fn is_dirty(&self, limits: &Limits) -> Result<bool, GitError> {
        if self.has_untracked {
            return Ok(true);
        }
        let within = std::time::Duration::from_secs(limits.list_timeout_secs);
        self.checkout.is_changed(self.everything, within)
    }

    /// The path of an entry below the scanned folder; `None` for the folder itself.
    fn below_part<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let part = self.checkout.part().as_os_str().as_bytes();
        if part.is_empty() {
            return Some(path);
        }
        path.strip_prefix(part)?.strip_prefix(b"/")
    }

    /// The path on the disk of a path below the top; `None` if a part of it is not a real folder.
    fn on_disk(&mut self, path: &[u8]) -> Option<PathBuf> {
        let path = Path::new(OsStr::from_bytes(path));
        // The index may contain anything.
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        let top = self.checkout.top().to_owned();
        let real = &mut self.real;
        let mut folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let all_real = folders.all(|folder| {
            *real.entry(folder.to_owned()).or_insert_with(|| {
                top.join(folder).symlink_metadata().is_ok_and(|facts| facts.is_dir())
            })
        });
        all_real.then(|| top.join(path))
    }

    /// Whether an untracked path is in a folder that a tool has created.
    fn is_generated(&mut self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        let top = self.checkout.top().to_owned();
        let generated = &mut self.generated;
        let mut folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        folders.any(|folder| {
            let name = folder.file_name().unwrap_or_default();
            *generated
                .entry(folder.to_owned())
                .or_insert_with(|| is_generated(name, &top.join(folder)))
        })
    }

    fn list_tracked(
        &mut self,
        caps: &mut Caps,
        visit: Visit<'_>,
    ) -> Result<HashSet<Vec<u8>>, TreeError<WorkTreeError>> {
        let mut known = HashSet::new();
        for file in std::mem::take(&mut self.tracked) {
            if let Some(signal) = self.stop.asked() {
                return Err(TreeError::Stopped(signal));
            }
            let Some(below) = self.below_part(&file.path).map(<[u8]>::to_vec) else { continue };
            caps.admit(&below)?;
            let disk = self.on_disk(&file.path);
            let facts = disk.as_ref().and_then(|path| path.symlink_metadata().ok());
            let kind = match (file.mode, disk.zip(facts)) {
                (Mode::Submodule, _) => Kind::Submodule { commit: file.commit },
                (_, None) if file.is_sparse => {
                    Kind::Other("not checked out, because the checkout is sparse".to_owned())
                }
                // Deleted, or another folder is in its place.
                (_, None) => continue,
                (Mode::Link, Some(_)) => Kind::Link,
                (Mode::File, Some((path, facts))) => match facts.file_type() {
                    kind if kind.is_file() => Kind::File { handle: path, size: Some(facts.len()) },
                    kind if kind.is_symlink() => Kind::Link,
                    kind if kind.is_dir() => continue,
                    _ => Kind::Other("neither a file nor a folder".to_owned()),
                },
            };
            visit(Entry { path: below.clone(), kind });
            known.insert(below);
        }
        Ok(known)
    }

    fn list_untracked(
        &mut self,
        caps: &mut Caps,
        visit: Visit<'_>,
    ) -> Result<(), TreeError<WorkTreeError>> {
        for path in self.names(caps, false)? {
            let Some(below) = self.below_part(&path).map(<[u8]>::to_vec) else { continue };
            if self.is_generated(&path) {
                continue;
            }
            let Some(disk) = self.on_disk(path.strip_suffix(b"/").unwrap_or(&path)) else {
                continue;
            };
            if path.ends_with(b"/") {
                // A repository of its own, whose files git does not list.
                self.has_untracked = true;
                self.walk(&disk, &below, caps, visit)?;
                continue;
            }
            caps.admit(&below)?;
            let Ok(facts) = disk.symlink_metadata() else { continue };
            let kind = match facts.file_type() {
                kind if kind.is_file() => Kind::File { handle: disk, size: Some(facts.len()) },
                kind if kind.is_symlink() => Kind::Link,
                _ => Kind::Other("neither a file nor a folder".to_owned()),
            };
            self.has_untracked = true;
            visit(Entry { path: below, kind });
        }
        Ok(())
    }

    /// Counts the ignored files, without those in folders that tools create; at most as many as may be read.
    fn list_ignored(
        &mut self,
        caps: &Caps,
        visit: Visit<'_>,
    ) -> Result<(), TreeError<WorkTreeError>> {
        let mut left = caps.most_entries();
        for path in self.names(caps, true)? {
            if left == 0 {
                break;
            }
            let Some(below) = self.below_part(&path).map(<[u8]>::to_vec) else { continue };
            if self.is_generated(&path) {
                continue;
            }
            let Some(folder) = path.strip_suffix(b"/") else {
                left -= 1;
                visit(Entry { path: below, kind: Kind::Ignored });
                continue;
            };
            let Some(disk) = self.on_disk(folder) else { continue };
            if is_generated(disk.file_name().unwrap_or_default(), &disk) {
                continue;
            }
            for entry in super::folder::wanted_below(&disk) {
                if let Some(signal) = self.stop.asked() {
                    return Err(TreeError::Stopped(signal));
                }
                let Some(more) = left.checked_sub(1) else { return Ok(()) };
                left = more;
                let Ok(entry) = entry else { continue };
                if entry.file_type().is_file() {
                    let rest = entry.path().strip_prefix(&disk).unwrap_or(entry.path());
                    let path = [&below, rest.as_os_str().as_bytes()].concat();
                    visit(Entry { path, kind: Kind::Ignored });
                }
            }
        }
        Ok(())
    }

    /// The untracked or the ignored paths, up to one more than may be read.
    fn names(&self, caps: &Caps, ignored: bool) -> Result<Vec<Vec<u8>>, GitError> {
        let mut names = Vec::new();
        let mut keep = |path: &[u8]| {
            names.push(path.to_vec());
            names.len() as u64 <= caps.most_entries()
        };
        if ignored {
            self.checkout.ignored(caps, &mut keep)?;
        } else {
            self.checkout.untracked(caps, &mut keep)?;
        }
        Ok(names)
    }

    /// Passes on the files of a folder, whose path below the scanned folder ends with a slash or is empty.
    fn walk(
        &self,
        folder: &Path,
        below: &[u8],
        caps: &mut Caps,
        visit: Visit<'_>,
    ) -> Result<(), TreeError<WorkTreeError>> {
        let mut folder = Folder::new(folder.to_owned(), &self.stop);
        let listed = folder.list(caps, &mut |Entry { path, kind }| {
            visit(Entry { path: [below, &path].concat(), kind });
        });
        listed.map_err(|error| match error {
            TreeError::Limit(error) => TreeError::Limit(error),
            TreeError::Stopped(signal) => TreeError::Stopped(signal),
            TreeError::Source(error) => TreeError::Source(WorkTreeError::Local(error)),
        })
    }
}

impl Tree for WorkTree<'_> {
    type Handle = PathBuf;
    type Error = WorkTreeError;

    fn list(
        &mut self,
        caps: &mut Caps,
        visit: &mut dyn FnMut(Entry<PathBuf>),
    ) -> Result<(), TreeError<WorkTreeError>> {
        let known = self.list_tracked(caps, visit)?;
        if self.everything {
            let folder = self.checkout.top().join(self.checkout.part());
            return self.walk(&folder, b"", caps, &mut |entry| {
                if !known.contains(&entry.path) {
                    visit(entry);
                }
            });
        }
        drop(known);
        self.list_untracked(caps, visit)?;
        self.list_ignored(caps, visit)
    }

    fn prepare(
        &mut self,
        wanted: &[&PathBuf],
    ) -> Result<Vec<Option<u64>>, TreeError<WorkTreeError>> {
        Ok(sizes(wanted))
    }

    fn read(&mut self, path: &PathBuf, most: u64) -> Result<Content, TreeError<WorkTreeError>> {
        Ok(content(path, most))
    }
}
