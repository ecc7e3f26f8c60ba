//! Blobs: files that are named by their content.
//!
//! Input: a file of a job. Output: the blob with its content, which is durable after a flush of all of them.
//!
//! Invariants: a blob is a second name of the job's own file where the file system can do that, so archiving takes no space
//! and no time for large results; a blob that exists already is used as it is; a name is always 64 hexadecimal digits.

use super::Archive;
use crate::store::{
    StoreError,
    atomic::{self, Durability},
    io_error::is_no_file_of_ours,
    read,
    results::sum,
};
use rustix::fs::{AtFlags, CWD, linkat};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Seek, Write},
    os::{fd::AsRawFd, unix::fs::DirBuilderExt},
    path::{Path, PathBuf},
};

/// The name and the size of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Named")]
pub struct Blob {
    sha256: String,
    size: u64,
}

/// A blob as a file names it.
#[derive(Deserialize)]
struct Named {
    sha256: String,
    size: u64,
}

impl TryFrom<Named> for Blob {
    type Error = String;

    fn try_from(named: Named) -> Result<Self, String> {
        Self::new(named.sha256, named.size).ok_or_else(|| "expected a SHA-256".to_owned())
    }
}

impl Blob {
    /// A blob with this name; `None` if it is not the SHA-256 of anything.
    pub fn new(sha256: String, size: u64) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (sha256.len() == 64 && sha256.bytes().all(is_digit)).then_some(Self { sha256, size })
    }

    /// The SHA-256 of the content: 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The name of the blob's folder: one of 256.
    pub(super) fn shard(&self) -> &str {
        &self.sha256[..2]
    }
}

/// How many files are fsynced one by one: of more, the whole file system is flushed once, because each fsync may wait for
/// the disk.
const FEW: usize = 32;

/// Stores blobs, and makes them durable together.
#[derive(Debug)]
pub(super) struct BlobWriter<'a> {
    archive: &'a Archive,
    /// The folders that have new names.
    changed: BTreeSet<PathBuf>,
    /// The blobs that may not be durable yet, as long as they are few.
    unsynced: Vec<PathBuf>,
}

impl<'a> BlobWriter<'a> {
    pub(super) fn new(archive: &'a Archive) -> Self {
        Self { archive, changed: BTreeSet::new(), unsynced: Vec::new() }
    }

    /// Stores the content of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn store(&mut self, source: &Path) -> Result<Option<Blob>, StoreError> {
        let mut file = match read::open(source) {
            Err(error) if is_no_file_of_ours(&error) => return Ok(None),
            opened => opened.map_err(StoreError::at("archive", source))?,
        };
        let (size, sha256) = sum(&mut file).map_err(StoreError::at("archive", source))?;
        let blob = Blob { sha256, size };
        let Some(path) = self.new_path(&blob)? else { return Ok(Some(blob)) };
        let linked = link(&file, &path);
        if linked.is_err() {
            let copy = |to: &mut File| {
                file.rewind()?;
                io::copy(&mut file, to).map(drop)
            };
            atomic::replace_with(self.archive.staging(), &path, copy, Durability::Eventual)?;
        }
        Ok(Some(blob))
    }

    /// Stores a text.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn store_text(&mut self, text: &[u8]) -> Result<Blob, StoreError> {
        let digest = ring::digest::digest(&ring::digest::SHA256, text);
        let sha256 = crate::model::digest::hexadecimal(digest.as_ref());
        let blob = Blob { sha256, size: text.len() as u64 };
        if let Some(path) = self.new_path(&blob)? {
            let write = |to: &mut File| to.write_all(text);
            atomic::replace_with(self.archive.staging(), &path, write, Durability::Eventual)?;
        }
        Ok(blob)
    }

    /// The path for a blob that does not exist yet; `None` if it exists.
    fn new_path(&mut self, blob: &Blob) -> Result<Option<PathBuf>, StoreError> {
        let path = self.archive.blob_path(blob);
        let folder = self.archive.blobs().join(blob.shard());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(StoreError::at("create", &folder))?;
        self.changed.insert(folder);
        // Also one that exists: what stored it may have been killed before it was durable.
        if self.unsynced.len() <= FEW {
            self.unsynced.push(path.clone());
        }
        match fs::symlink_metadata(&path) {
            // One that another program truncated is replaced.
            Ok(facts) if facts.is_file() && facts.len() == blob.size => Ok(None),
            Ok(_) => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(StoreError::at("replace", path)(error))
                }
                _ => Ok(Some(path)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(path)),
            Err(error) => Err(StoreError::at("archive", path)(error)),
        }
    }

    /// Makes all stored blobs and their names durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn flush(self) -> Result<(), StoreError> {
        if self.unsynced.len() > FEW {
            let root = &self.archive.root;
            let flush = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(root)?)?) };
            return flush().map_err(StoreError::at("flush the disk of", root));
        }
        self.unsynced.iter().try_for_each(|path| atomic::flush_content(path))?;
        // Outer folders last: one of them may be as new as the names in it.
        let (blobs, root) = (self.archive.blobs(), self.archive.root.clone());
        self.changed
            .iter()
            .chain([&blobs, &root])
            .filter(|folder| folder.exists())
            .try_for_each(|folder| atomic::flush_folder(folder))
    }
}

/// Gives an open file another name. The path that it was opened by may have another file by now.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}
