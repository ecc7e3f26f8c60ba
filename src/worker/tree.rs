//! The interface between the scan and its source: a commit in git, or a folder.
//!
//! Input: requests of the engine. Output: entries and contents. Invariants: the interface knows no source;
//! an error of a source passes through it unchanged.

use super::limits::{Caps, LimitError};

/// Files below one root.
pub(crate) trait Tree {
    /// Identifies a file for reading.
    type Handle: Send;

    /// Why the source cannot be read.
    type Error;

    /// Passes each entry to `visit`, in any order. Every path is checked by `caps` first.
    fn list(
        &mut self,
        caps: &mut Caps,
        visit: &mut dyn FnMut(Entry<Self::Handle>),
    ) -> Result<(), TreeError<Self::Error>>;

    /// The id of the content of a file, if the source has such ids.
    fn content_id(_handle: &Self::Handle) -> Option<&str> {
        None
    }

    /// Fetches exactly the wanted files at once. Returns their sizes, in order, as far as they are
    /// known; an empty list if nothing had to be fetched.
    fn prepare(
        &mut self,
        _wanted: &[&Self::Handle],
    ) -> Result<Vec<Option<u64>>, TreeError<Self::Error>> {
        Ok(Vec::new())
    }

    /// Reads a file of at most `most` bytes. An error ends the scan; a problem with this file alone
    /// is not an error.
    fn read(&mut self, handle: &Self::Handle, most: u64)
    -> Result<Content, TreeError<Self::Error>>;
}

/// Why a tree could not be read to its end.
#[derive(Debug)]
pub(crate) enum TreeError<E> {
    /// The tree exceeds a limit.
    Limit(LimitError),
    /// This signal stopped the scan.
    Stopped(i32),
    /// An error of the source.
    Source(E),
}

impl<E> From<LimitError> for TreeError<E> {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

/// One entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<H> {
    /// The path below the root, with `/`; any bytes except NUL.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind<H>,
}

/// The type of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<H> {
    /// A regular file, with its size if that is known before it is read.
    File { handle: H, size: Option<u64> },
    /// A symbolic link; never followed.
    Link,
    /// A submodule; never fetched. Its commit, as far as the source states it.
    Submodule { commit: Option<String> },
    /// Anything else, with the reason; never opened.
    Other(String),
    /// A file that git ignores; never opened.
    Ignored,
}

/// The result of reading a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// Larger than allowed; with its size, if known.
    TooLarge(Option<u64>),
    /// With the reason.
    Unreadable(String),
}
