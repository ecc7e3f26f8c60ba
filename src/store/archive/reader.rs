//! Reads archive records line by line.
//!
//! Input: the path of a record. Output: its lines, parsed.
//!
//! Invariants: one line is in memory at a time, within the limits of the files that it was made from; a record that was
//! opened does not change and does not vanish.

use super::record::{ArchiveHeader, ArchivedMaster, ArchivedRepository, SCHEMA};
use crate::store::{
    io_error::is_no_file_of_ours,
    read::{self, MASTER_CAP, STATUS_CAP, Signature},
};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// The size limit of the first line, and of the members of others that are not from a file of the job.
const HEADER_CAP: u64 = 1 << 20;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the archive record `{}`: {problem}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    pub problem: io::Error,
}

/// An open record, after its first line.
#[derive(Debug)]
pub struct ArchiveReader {
    header: ArchiveHeader,
    signature: Signature,
    lines: BufReader<File>,
    path: PathBuf,
    left: u64,
}

impl ArchiveReader {
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Unreadable> {
        match read::open(path) {
            Ok(file) => Self::of_file(file, path).map(Some),
            Err(error) if is_no_file_of_ours(&error) => Ok(None),
            Err(problem) => Err(Unreadable { path: path.to_owned(), problem }),
        }
    }

    /// Reads a record from an open file, which is at its beginning; `path` names it in errors.
    ///
    /// # Errors
    /// If it cannot be read, or is not a record that this version knows.
    pub fn of_file(file: File, path: &Path) -> Result<Self, Unreadable> {
        let at = |problem| Unreadable { path: path.to_owned(), problem };
        let signature = file.metadata().map(|facts| Signature::of(&facts)).map_err(at)?;
        let mut lines = BufReader::new(file);
        let header: ArchiveHeader = line(&mut lines, HEADER_CAP).map_err(at)?;
        if header.schema != SCHEMA {
            let text = format!("its schema is {}, this version knows {SCHEMA}", header.schema);
            return Err(at(invalid(text)));
        }
        let left = header.repositories;
        Ok(Self { header, signature, lines, path: path.to_owned(), left })
    }

    /// The first line.
    pub fn header(&self) -> &ArchiveHeader {
        &self.header
    }

    /// The size of the record in bytes.
    pub fn size(&self) -> u64 {
        self.signature.size()
    }

    /// Identifies this content of the record.
    pub fn signature(&self) -> Signature {
        self.signature
    }

    /// The second line; call it once, before [`repository`](Self::repository).
    ///
    /// # Errors
    /// If the line cannot be read.
    pub fn master(&mut self) -> Result<ArchivedMaster, Unreadable> {
        self.line(MASTER_CAP + HEADER_CAP)
    }

    /// The next repository; `None` after the last one.
    ///
    /// # Errors
    /// If the line cannot be read.
    pub fn repository(&mut self) -> Result<Option<ArchivedRepository>, Unreadable> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.line(STATUS_CAP + HEADER_CAP).map(Some)
    }

    fn line<T: DeserializeOwned>(&mut self, cap: u64) -> Result<T, Unreadable> {
        let read = line(&mut self.lines, cap);
        read.map_err(|problem| Unreadable { path: self.path.clone(), problem })
    }
}

fn line<T: DeserializeOwned>(lines: &mut BufReader<File>, cap: u64) -> io::Result<T> {
    let mut bytes = Vec::new();
    lines.by_ref().take(cap).read_until(b'\n', &mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        return Err(invalid("a line is incomplete, or too long".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
