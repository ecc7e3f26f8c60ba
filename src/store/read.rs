//! Reads files that others wrote.
//!
//! Input: paths. Output: contents and signatures. Invariants: regular files only, never more than a
//! cap, never blocking on a FIFO; a symbolic link is followed only if the operator configured it.

use super::{
    StoreError,
    io_error::{is_absence, is_resource_exhaustion},
    lock::{self, Inode},
};
use rustix::fs::OFlags;
use std::{
    fs::{File, Metadata, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The size limit of a repository's status file, in bytes.
pub const STATUS_CAP: u64 = 1 << 20;
/// The size limit of a master.json or a plan: a group of 10,000 has long lists.
pub const MASTER_CAP: u64 = 64 << 20;

/// Distinguishes contents of a file without reading it: a replaced file has another inode, a
/// modified one another change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Signature {
    pub(super) fn new(device: u64, inode: u64, size: u64, changed: (i64, i64)) -> Self {
        Self { device, inode, size, changed }
    }

    /// Its parts, as numbers.
    pub(super) fn parts(&self) -> [u64; 5] {
        let (seconds, nanos) = self.changed;
        [self.device, self.inode, self.size, seconds.cast_unsigned(), nanos.cast_unsigned()]
    }

    /// The signature with these parts.
    pub(super) fn of_parts([device, inode, size, seconds, nanos]: [u64; 5]) -> Self {
        Self::new(device, inode, size, (seconds.cast_signed(), nanos.cast_signed()))
    }

    /// The identity of the file, independent of its content.
    pub(super) fn inode(&self) -> Inode {
        Inode { device: self.device, number: self.inode }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The signature for known metadata.
    pub fn of(facts: &Metadata) -> Self {
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    /// Whether both are of the same file or folder, whatever its content.
    pub fn same_file(&self, other: &Self) -> bool {
        self.inode == other.inode && self.device == other.device
    }

    /// A 64-bit hash of the signature; two different signatures collide with a probability of
    /// 2^-64.
    pub fn number(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The change time of the file.
    pub fn changed_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let nanos = u32::try_from(self.changed.1).unwrap_or(0);
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    /// The signature of the file at `path`, without following a symbolic link; `None` if there is
    /// none.
    pub fn at(path: &Path) -> Option<Self> {
        std::fs::symlink_metadata(path).ok().map(|facts| Self::of(&facts))
    }
}

/// Whether a folder is missing or something else is at its path. If that is unknown, it is not
/// missing.
pub fn is_missing_folder(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(facts) => !facts.is_dir(),
        Err(error) => is_absence(&error),
    }
}

/// Opens a regular file for reading.
pub fn open(path: &Path) -> io::Result<File> {
    regular(path, OFlags::NOFOLLOW).map(|(file, _)| file)
}

/// Reads a whole regular file of at most `cap` bytes.
pub fn whole(path: &Path, cap: u64) -> io::Result<(Vec<u8>, Signature)> {
    let (bytes, facts) = all_of(regular(path, OFlags::NOFOLLOW)?, cap)?;
    Ok((bytes, Signature::of(&facts)))
}

/// Reads a whole regular file of at most `cap` bytes that the operator configured, so that symbolic
/// links are allowed; returns its metadata, too.
pub fn named(path: &Path, cap: u64) -> io::Result<(Vec<u8>, Metadata)> {
    all_of(regular(path, OFlags::empty())?, cap)
}

/// Opens a regular file and returns its metadata.
fn regular(path: &Path, flags: OFlags) -> io::Result<(File, Metadata)> {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // A hard link to a lock file; closing it would release the lock.
    let file = lock::keep_if_held(file, &facts).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "it is a lock file of this process")
    })?;
    Ok((file, facts))
}

/// The metadata is older than the content: a later write results in a different signature.
fn all_of((file, facts): (File, Metadata), cap: u64) -> io::Result<(Vec<u8>, Metadata)> {
    if facts.len() > cap {
        return Err(too_large(cap));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0) + 1);
    // The file may grow while it is read.
    file.take(cap + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap { Err(too_large(cap)) } else { Ok((bytes, facts)) }
}

pub(super) fn too_large(cap: u64) -> io::Error {
    let text = format!("it is larger than {cap} bytes");
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Reads a whole regular file of at most `cap` bytes; `None` if it is missing or not a regular
/// file.
///
/// # Errors
/// If resources are exhausted: the file may exist.
pub fn if_readable(path: &Path, cap: u64) -> Result<Option<Vec<u8>>, StoreError> {
    match whole(path, cap) {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if is_resource_exhaustion(&error) => Err(StoreError::at("read", path)(error)),
        Err(_) => Ok(None),
    }
}

/// The problem of a file that should be JSON, if it exists and is invalid. The file is parsed once,
/// and nothing of it is kept.
pub fn problem_of_json(path: &Path, cap: u64, limit: &str) -> Option<String> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("cannot be read: {error}")),
    };
    if file.metadata().is_ok_and(|facts| facts.len() > cap) {
        return Some(format!("is larger than {cap} bytes ({limit})"));
    }
    serde_json::from_reader::<_, serde::de::IgnoredAny>(io::BufReader::new(file))
        .err()
        .map(|error| format!("is not valid JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_cap_are_read() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        let staging = root.path();
        crate::store::atomic::replace(
            staging,
            &file,
            b"12345",
            crate::store::atomic::Durability::Eventual,
        )
        .unwrap();
        assert_eq!(whole(&file, 5).unwrap().0, b"12345");
        assert!(whole(&file, 4).is_err());
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(whole(&link, 9).is_err());
        assert_eq!(named(&link, 5).unwrap().0, b"12345");
        assert!(named(&link, 4).is_err() && named(root.path(), 9).is_err());
        assert!(whole(root.path(), 9).is_err());
        let pipe = root.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(whole(&pipe, 9).is_err() && named(&pipe, 9).is_err());
    }
}
