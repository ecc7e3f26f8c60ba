//! Zip archives ("APPNOTE.TXT - .ZIP File Format Specification").
//!
//! Input: the bytes of an archive. Output: the entries of its directory, and the text of those that a parser asks for.
//!
//! Invariants: the number of entries, the size of one, and of all that is unpacked are limited, and what exceeds a limit is a
//! warning; a damaged directory loses only the entries behind the damage; sizes that an archive states are never trusted.

use crate::ecosystem::{SourceFile, collect::Collector, text};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipArchiveEntryWayfinder, ZipSliceArchive};
use std::io::Read;

/// The most bytes of one entry. Metadata has some kilobytes; the largest list of a real wheel or jar has less than one megabyte.
const MOST_OF_ONE: u64 = 1 << 20;

/// An open archive.
pub(super) struct Zip<'a>(ZipSliceArchive<&'a [u8]>);

/// An entry of the directory.
pub(super) struct Entry {
    /// As the archive states it: it is only compared.
    pub(super) path: String,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

impl<'a> Zip<'a> {
    /// Opens an archive; none, with a warning, if the file is not one.
    pub(super) fn open(file: SourceFile<'a>, found: &mut Collector<'_>) -> Option<Self> {
        match ZipArchive::from_slice(file.bytes) {
            Ok(archive) => Some(Self(archive)),
            Err(error) => {
                found.warn_of_file(format!("not a zip archive: {error}"));
                None
            }
        }
    }

    /// The entries in the order of the directory.
    pub(super) fn entries(&self, found: &mut Collector<'_>) -> Vec<Entry> {
        let (mut list, mut entries) = (Vec::new(), self.0.entries());
        loop {
            let entry = match entries.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return list,
                Err(error) => {
                    let message =
                        format!("the directory is damaged after {} entries: {error}", list.len());
                    found.warn_of_file(message);
                    return list;
                }
            };
            if !found.budget().list_entry() {
                let message = format!(
                    "only the first {} entries are read ([limits] max_archive_entries)",
                    list.len()
                );
                found.warn_of_file(message);
                return list;
            }
            if !entry.is_dir() {
                let path = entry.file_path();
                let path = String::from_utf8_lossy(path.as_bytes()).into_owned();
                let (place, method) = (entry.wayfinder(), entry.compression_method());
                list.push(Entry { path, place, method });
            }
        }
    }

    /// The text of an entry; none, with a warning, if it cannot be read or exceeds a limit.
    pub(super) fn text(&self, entry: &Entry, found: &mut Collector<'_>) -> Option<String> {
        let read = self.bytes(entry).and_then(|bytes| {
            let is_allowed = found.budget().unpack(bytes.len() as u64);
            is_allowed.then_some(bytes).ok_or_else(|| {
                "more is unpacked than is allowed ([limits] max_archive_unpacked_bytes)".to_owned()
            })
        });
        match read {
            Ok(bytes) => Some(text::decode(&bytes).into_owned()),
            Err(why) => {
                found.warn_of_file(format!("`{}` is not read: {why}", text::excerpt(&entry.path)));
                None
            }
        }
    }

    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let local = self.0.get_entry(entry.place).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let read = match entry.method {
            CompressionMethod::STORE => local.data().take(MOST_OF_ONE + 1).read_to_end(&mut bytes),
            CompressionMethod::DEFLATE => {
                DeflateDecoder::new(local.data()).take(MOST_OF_ONE + 1).read_to_end(&mut bytes)
            }
            other => return Err(format!("its compression is unknown ({other:?})")),
        };
        // A damaged end does not make the beginning wrong, but incomplete: better nothing.
        read.map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MOST_OF_ONE {
            return Err(format!("it has more than {MOST_OF_ONE} bytes"));
        }
        Ok(bytes)
    }
}
