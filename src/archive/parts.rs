//! Files in parts, and their digests.
//!
//! Input: a local file with its expected content. Output: its parts. Invariants: one part is in memory; a file that has another
//! content than expected is noticed at its end.

use super::error::{Kind, StorageError};
use crate::{model::digest::hexadecimal, pool::Pool, store::read};
use bytes::Bytes;
use ring::digest::{Context, SHA256};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

/// The size of a part of a large upload: the smallest that S3 accepts.
pub(super) const PART: usize = 5 << 20;
/// The content of a file, by its size and its SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) sha256: String,
}

/// A local file, read in parts of an upload.
pub(super) struct Parts<'a> {
    files: &'a Pool,
    file: Arc<File>,
    shown: String,
    expected: Content,
    sum: Sum,
}

impl<'a> Parts<'a> {
    pub(super) fn open(
        files: &'a Pool,
        path: &Path,
        expected: &Content,
    ) -> Result<Self, StorageError> {
        let shown = path.display().to_string();
        let file = read::open(path).map_err(|error| {
            let gone = error.kind() == io::ErrorKind::NotFound;
            let kind = if gone { Kind::Changed } else { Kind::Local };
            StorageError::new(kind, "read", &shown, error.to_string())
        })?;
        Ok(Self { files, file: Arc::new(file), shown, expected: expected.clone(), sum: Sum::new() })
    }

    /// The next part; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let left = self.expected.size.saturating_sub(self.sum.size);
        if left == 0 {
            return Ok(None);
        }
        let file = Arc::clone(&self.file);
        let read = move || {
            // Not grown step by step, which would take twice the memory.
            let length = left.min(PART as u64);
            let mut part = Vec::with_capacity(usize::try_from(length).unwrap_or(PART));
            (&*file).take(length).read_to_end(&mut part).map(|_| part)
        };
        let part = self.files.run(read).await.map_err(io::Error::from).flatten();
        let part = part.map_err(StorageError::of_disk("read", &self.shown))?;
        if part.is_empty() {
            return Err(self.changed());
        }
        self.sum.add(&part);
        Ok(Some(part.into()))
    }

    /// Checks that the parts were the expected content.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        let sum = std::mem::replace(&mut self.sum, Sum::new());
        if sum.finish() == self.expected { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> StorageError {
        StorageError::new(Kind::Changed, "upload", &self.shown, "")
    }
}

/// The size and the SHA-256 of what was added so far.
pub(super) struct Sum {
    context: Context,
    pub(super) size: u64,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { context: Context::new(&SHA256), size: 0 }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.size += piece.len() as u64;
    }

    pub(super) fn finish(self) -> Content {
        let sha256 = hexadecimal(self.context.finish().as_ref());
        Content { size: self.size, sha256 }
    }
}
