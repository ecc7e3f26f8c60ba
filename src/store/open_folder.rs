//! An open folder: its entries are listed, inspected and read without walking its path again.
//!
//! Input: the path of a folder, names in it. Output: as in [`read`](super::read), under the same
//! rules: regular files only, never more than a cap, no symbolic links.
//!
//! Invariants: a file costs four system calls, none of which allocates.

use super::{
    lock,
    read::{Signature, too_large},
};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, statat},
    io::{Errno, read},
};
use std::{ffi::CStr, fs::File, io, mem::MaybeUninit, os::fd::OwnedFd, path::Path};

/// How many bytes of a listing one system call returns.
const LISTING: usize = 4 << 10;
/// How many bytes of a file one system call reads: most status files are far smaller.
const CHUNK: usize = 16 << 10;

/// An open folder.
#[derive(Debug)]
pub struct OpenFolder(OwnedFd);

impl OpenFolder {
    /// Opens a folder without following a symbolic link in the last component.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// Opens a subfolder.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// The signature of the folder itself.
    pub fn signature(&self) -> io::Result<Signature> {
        Ok(signature_of(&fstat(&self.0)?))
    }

    /// The signature of the subfolder with this name.
    pub fn signature_of_folder(&self, name: &str) -> io::Result<Signature> {
        let facts = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(facts.st_mode) == FileType::Directory {
            Ok(signature_of(&facts))
        } else {
            Err(Errno::NOTDIR.into())
        }
    }

    /// The signature of the entry with this name, whatever its type.
    pub fn signature_of(&self, name: &str) -> io::Result<Signature> {
        Ok(signature_of(&statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// Lists the names in the folder.
    pub fn list(&self, mut each: impl FnMut(&CStr)) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); LISTING];
        let mut entries = RawDir::new(&self.0, &mut buffer);
        while let Some(entry) = entries.next() {
            each(entry?.file_name());
        }
        Ok(())
    }

    /// Reads a whole regular file of at most `cap` bytes into the buffer, replacing its content.
    pub fn read(&self, name: &str, cap: u64, buffer: &mut Vec<u8>) -> io::Result<Signature> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty())?;
        // Taken before the content: a later write results in a different signature.
        let facts = fstat(&file)?;
        if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let signature = signature_of(&facts);
        // A hard link to a lock file; closing it would release the lock.
        let file = lock::keep_if_locked(File::from(file), signature.inode()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "it is a lock file of this process")
        })?;
        if signature.size() > cap {
            return Err(too_large(cap));
        }
        buffer.clear();
        loop {
            // A short read means the end of the file.
            let room = CHUNK.max(usize::try_from(signature.size()).unwrap_or(0) + 1);
            buffer.reserve(room);
            let before = buffer.len();
            let count = read(&file, rustix::buffer::spare_capacity(buffer))?;
            if count == 0 || buffer.len() < buffer.capacity() {
                break;
            }
            if before as u64 > cap {
                return Err(too_large(cap));
            }
        }
        // The file may grow while it is read.
        if buffer.len() as u64 > cap { Err(too_large(cap)) } else { Ok(signature) }
    }
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn signature_of(facts: &Stat) -> Signature {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_wrap, reason = "as the kernel has them")]
    Signature::new(
        facts.st_dev,
        facts.st_ino,
        facts.st_size as u64,
        (facts.st_ctime, facts.st_ctime_nsec as i64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write, os::unix::fs::symlink};

    fn write(path: &Path, content: &[u8]) {
        File::create(path).unwrap().write_all(content).unwrap();
    }

    #[test]
    fn only_regular_files_within_the_cap_are_read() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        write(&path("file"), b"12345");
        symlink(path("file"), path("link")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(CWD, path("pipe"), FileType::Fifo, mode, 0).unwrap();
        let folder = OpenFolder::open(root.path()).unwrap();
        let mut buffer = b"what was there before".to_vec();
        let signature = folder.read("file", 5, &mut buffer).unwrap();
        assert_eq!((&*buffer, Some(signature)), (&b"12345"[..], Signature::at(&path("file"))));
        assert!(folder.read("file", 4, &mut buffer).is_err());
        for name in ["link", "folder", "pipe", "missing"] {
            assert!(folder.read(name, 9, &mut buffer).is_err(), "{name}");
        }
        let mut names = Vec::new();
        folder.list(|name| names.push(name.to_str().unwrap().to_owned())).unwrap();
        names.sort();
        assert_eq!(names, [".", "..", "file", "folder", "link", "pipe"]);
        assert!(folder.folder("folder").is_ok() && folder.folder("link").is_err());
        symlink(path("folder"), path("link-to-folder")).unwrap();
        assert!(OpenFolder::open(&path("link-to-folder")).is_err());
        assert!(folder.signature_of_folder("link-to-folder").is_err());
    }

    #[test]
    fn a_large_file_is_read_to_its_end() {
        let root = tempfile::tempdir().unwrap();
        let content = vec![b'x'; 3 * CHUNK + 1];
        write(&root.path().join("file"), &content);
        let folder = OpenFolder::open(root.path()).unwrap();
        let mut buffer = Vec::new();
        folder.read("file", 1 << 20, &mut buffer).unwrap();
        assert_eq!(buffer, content);
    }
}
