//! What an error of the file system says about a file.
//!
//! Input: errors. Output: whether the file is missing, is none of ours, or is unknown for a while.
//!
//! Invariant: an error that is not listed says nothing about the file.

use rustix::io::Errno;
use std::io;

/// Whether an error means that nothing is there. Any other error says nothing about the file: the
/// process may be out of descriptors, or permissions may be missing for a while.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether an error means that the path, if it exists, is not a file as scanwatch writes it: a
/// symbolic link, FIFO, socket or folder, or far too large.
pub fn is_no_file_of_ours(error: &io::Error) -> bool {
    let by_kind = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge);
    is_absence(error) || by_kind || matches!(errno(error), Some(Errno::LOOP | Errno::NXIO))
}

/// Whether an error means that resources are exhausted for a while, so that nothing is known about
/// the file.
pub fn is_resource_exhaustion(error: &io::Error) -> bool {
    const EXHAUSTED: [Errno; 8] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::AGAIN,
        Errno::INTR,
        Errno::STALE,
        Errno::TIMEDOUT,
    ];
    errno(error).is_some_and(|errno| EXHAUSTED.contains(&errno))
}

fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
