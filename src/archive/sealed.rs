//! The record of a job as it is in the archive: that of `store::archive`, and a last line with the SHA-256 of all bytes before
//! it, so that a record that was damaged on its way is noticed.
//!
//! Input: a record; a downloaded file. Output: the sealed record; whether a file is one. Invariants: readers of records
//! ignore the last line; a file of any size is read in pieces.

use crate::{
    model::digest::hexadecimal,
    store::{
        atomic::{self, Durability},
        read,
    },
};
use ring::digest::{Context, SHA256};
use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// The last line, for a digest of 64 digits.
fn last_line(sha256: &str) -> String {
    format!("{{\"sha256\":\"{sha256}\"}}\n")
}

/// The length of the last line.
const LENGTH: u64 = 64 + 14;

/// Writes the sealed record `to`.
pub(super) fn seal(staging: &Path, record: &Path, to: &Path) -> io::Result<()> {
    let mut file = read::open(record)?;
    let write = |sealed: &mut File| {
        let mut sealed = BufWriter::new(sealed);
        let sha256 = copy(&mut file, u64::MAX, &mut sealed)?;
        sealed.write_all(last_line(&sha256).as_bytes())?;
        sealed.flush()
    };
    atomic::replace_with(staging, to, write, Durability::Eventual).map_err(|error| error.source)
}

/// Whether a file is a whole sealed record.
pub(super) fn is_whole(file: &mut File) -> io::Result<bool> {
    let Some(length) = file.metadata()?.len().checked_sub(LENGTH) else { return Ok(false) };
    file.seek(SeekFrom::Start(0))?;
    let sha256 = copy(file, length, &mut io::sink())?;
    let mut last = String::new();
    (&*file).take(LENGTH).read_to_string(&mut last)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(last == last_line(&sha256))
}

/// Copies at most `length` bytes, and returns their SHA-256.
fn copy(from: &mut File, length: u64, to: &mut impl Write) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut from = from.take(length);
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(hexadecimal(context.finish().as_ref())),
            count => {
                context.update(&piece[..count]);
                to.write_all(&piece[..count])?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a damaged or truncated record counts as whole.
    #[test]
    fn only_whole_records_are_whole() {
        let root = tempfile::tempdir().unwrap();
        let (record, sealed) = (root.path().join("record"), root.path().join("sealed"));
        let write = |path: &Path, bytes: &[u8]| {
            atomic::replace(root.path(), path, bytes, Durability::Eventual).unwrap();
        };
        write(&record, b"{\"a\":1}\n{\"b\":2}\n");
        seal(root.path(), &record, &sealed).unwrap();
        let whole = std::fs::read(&sealed).unwrap();
        let check = |bytes: &[u8]| {
            write(&sealed, bytes);
            is_whole(&mut File::open(&sealed).unwrap()).unwrap()
        };
        assert!(check(&whole));
        for length in 0..whole.len() {
            assert!(!check(&whole[..length]), "{length}");
            let mut damaged = whole.clone();
            damaged[length] ^= 1;
            // A last line that is no text is an error, which is as good.
            write(&sealed, &damaged);
            assert!(!is_whole(&mut File::open(&sealed).unwrap()).unwrap_or(false), "{length}");
        }
    }
}
