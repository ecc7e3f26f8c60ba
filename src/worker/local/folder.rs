//! A local folder as a tree.
//!
//! Input: a path. Output: its files. Invariants: links are not followed and only regular files are
//! opened; folders that tools create (`node_modules` and similar) are skipped.

use super::LocalError;
use crate::{
    store::read,
    worker::{
        limits::Caps,
        stop::Stop,
        tree::{Content, Entry, Kind, Tree, TreeError},
    },
};
use std::{
    ffi::OsStr,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use walkdir::{DirEntry, WalkDir};

/// Folders with generated or installed files.
const LEFT_OUT: [&str; 6] = [".git", "node_modules", ".venv", "venv", "__pycache__", ".tox"];

/// A folder, as a tree that can be scanned.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    stop: Stop,
}

impl Folder {
    pub(crate) fn new(root: PathBuf, stop: &Stop) -> Self {
        Self { root, stop: stop.clone() }
    }

    fn below<'a>(&self, path: &'a Path) -> &'a [u8] {
        path.strip_prefix(&self.root).unwrap_or(path).as_os_str().as_bytes()
    }
}

impl Tree for Folder {
    type Handle = PathBuf;
    type Error = LocalError;

    fn list(
        &mut self,
        caps: &mut Caps,
        visit: &mut dyn FnMut(Entry<PathBuf>),
    ) -> Result<(), TreeError<LocalError>> {
        for entry in wanted_below(&self.root) {
            if let Some(signal) = self.stop.asked() {
                return Err(TreeError::Stopped(signal));
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.depth() == 0 => {
                    let (path, source) = (self.root.clone(), io::Error::from(error));
                    return Err(TreeError::Source(LocalError::Unreachable { path, source }));
                }
                Err(error) => {
                    let path =
                        error.path().map(|path| self.below(path).to_vec()).unwrap_or_default();
                    caps.admit(&path)?;
                    let why = format!("cannot be listed: {}", io::Error::from(error));
                    visit(Entry { path, kind: Kind::Other(why) });
                    continue;
                }
            };
            let path = self.below(entry.path()).to_vec();
            // Folders count too, because they cost as much as files.
            caps.admit(&path)?;
            let kind = match entry.file_type() {
                kind if kind.is_dir() => continue,
                kind if kind.is_symlink() => Kind::Link,
                // Querying the size of files that nobody reads would take as long as the walk
                // itself.
                kind if kind.is_file() => Kind::File { size: None, handle: entry.into_path() },
                _ => Kind::Other("neither a file nor a folder".to_owned()),
            };
            visit(Entry { path, kind });
        }
        Ok(())
    }

    fn prepare(&mut self, wanted: &[&PathBuf]) -> Result<Vec<Option<u64>>, TreeError<LocalError>> {
        Ok(sizes(wanted))
    }

    fn read(&mut self, path: &PathBuf, most: u64) -> Result<Content, TreeError<LocalError>> {
        Ok(content(path, most))
    }
}

/// Reads a regular file of at most `most` bytes.
pub(super) fn content(path: &Path, most: u64) -> Content {
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than allowed: the file may have grown since it was listed.
        read::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    match read() {
        Ok(bytes) if bytes.len() as u64 > most => Content::TooLarge(None),
        Ok(bytes) => Content::Bytes(bytes),
        Err(error) => Content::Unreadable(error.to_string()),
    }
}

/// The sizes of files, as far as they are known.
pub(super) fn sizes(wanted: &[&PathBuf]) -> Vec<Option<u64>> {
    let size = |path: &&PathBuf| path.symlink_metadata().ok().map(|facts| facts.len());
    wanted.iter().map(size).collect()
}

/// What is below a folder, without folders that tools create.
pub(super) fn wanted_below(
    folder: &Path,
) -> impl Iterator<Item = walkdir::Result<DirEntry>> + use<> {
    WalkDir::new(folder).min_depth(1).into_iter().filter_entry(is_wanted)
}

fn is_wanted(entry: &DirEntry) -> bool {
    !entry.file_type().is_dir() || !is_generated(entry.file_name(), entry.path())
}

/// Whether a folder contains generated or installed files, by its name.
pub(super) fn is_generated(name: &OsStr, path: &Path) -> bool {
    // Cargo and others mark build folders by https://bford.info/cachedir/; a folder of that name
    // without the mark may be anything.
    let is_build = name == "target" && path.join("CACHEDIR.TAG").is_file();
    is_build || LEFT_OUT.iter().any(|skipped| name == *skipped)
}
