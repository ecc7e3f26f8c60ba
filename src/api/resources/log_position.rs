//! The position of a reader in the log of one attempt.
//!
//! Input: an open log, which grows, and which the next attempt truncates and writes again. Output: the
//! bytes after the position, or that the log is another attempt's.
//!
//! Invariants: bytes of two attempts are never returned by one position. An attempt is recognized by the
//! bytes before the position: they are compared after each read, because a comparison before the read would
//! miss an attempt that starts between the two.

use std::{io, os::unix::fs::FileExt};

/// How many bytes are compared.
const COMPARED: usize = 256;

#[derive(Debug)]
pub(crate) struct LogPosition {
    /// The offset of the next byte to read.
    next: u64,
    /// The first bytes from there, before anything is read; then the last bytes before it.
    known: Vec<u8>,
    known_at: u64,
}

impl LogPosition {
    /// A position in the log of the current attempt.
    pub(crate) fn new(log: &impl FileExt, next: u64) -> io::Result<Self> {
        let known = read(log, next, COMPARED)?;
        Ok(Self { next, known, known_at: next })
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Reads at most so many bytes; none at the end of the log. `None`: another attempt has restarted it.
    pub(crate) fn read(&mut self, log: &impl FileExt, most: usize) -> io::Result<Option<Vec<u8>>> {
        let bytes = read(log, self.next, most)?;
        if read(log, self.known_at, self.known.len())? != self.known {
            return Ok(None);
        }
        if !bytes.is_empty() {
            if self.known_at == self.next {
                self.known.clear();
            }
            self.known.extend_from_slice(&bytes[bytes.len().saturating_sub(COMPARED)..]);
            self.known.drain(..self.known.len().saturating_sub(COMPARED));
            self.next += bytes.len() as u64;
            self.known_at = self.next - self.known.len() as u64;
        }
        Ok(Some(bytes))
    }
}

/// Reads at most so many bytes from an offset: fewer only at the end of the log.
fn read(log: &impl FileExt, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut count) = (vec![0; most], 0);
    while count < most {
        match log.read_at(&mut bytes[count..], offset + count as u64) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{File, OpenOptions},
        io::Write,
        path::PathBuf,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    const PIECE: usize = 1000;

    /// A log that the next attempt restarts just before one of its reads.
    struct RestartedLog {
        file: File,
        path: PathBuf,
        reads_before: AtomicUsize,
    }

    impl FileExt for RestartedLog {
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
            let left = self.reads_before.load(Relaxed);
            self.reads_before.store(left.wrapping_sub(1), Relaxed);
            if left == 0 {
                let mut log = OpenOptions::new().write(true).truncate(true).open(&self.path)?;
                log.write_all(&[b'b'; 4 * PIECE])?;
            }
            self.file.read_at(bytes, offset)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Breaks if a reader continues with the bytes of another attempt, whenever that starts.
    #[test]
    fn two_attempts_are_never_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        // Three pieces take seven reads.
        for reads_before in 1..=7 {
            File::create(&path).unwrap().write_all(&[b'a'; 3 * PIECE]).unwrap();
            let (file, reads_before_restart) = (File::open(&path).unwrap(), reads_before.into());
            let log = RestartedLog { file, path: path.clone(), reads_before: reads_before_restart };
            let mut position = LogPosition::new(&log, 0).unwrap();
            let mut sent = Vec::new();
            while sent.len() < 3 * PIECE
                && let Some(bytes) = position.read(&log, PIECE).unwrap()
            {
                sent.extend(bytes);
            }
            assert!(sent.iter().all(|byte| *byte == b'a'), "restarted after {reads_before} reads");
            assert_eq!(sent.len() == 3 * PIECE, reads_before == 7);
        }
    }

    #[test]
    fn a_log_that_grows_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = File::create(&path).unwrap();
        let log = File::open(&path).unwrap();
        let mut position = LogPosition::new(&log, 0).unwrap();
        assert_eq!(position.read(&log, PIECE).unwrap(), Some(Vec::new()));
        for number in 0..100 {
            let line = format!("line {number}\n");
            writer.write_all(line.as_bytes()).unwrap();
            assert_eq!(position.read(&log, PIECE).unwrap(), Some(line.into_bytes()));
        }
        assert_eq!(position.next(), writer.metadata().unwrap().len());
    }
}
