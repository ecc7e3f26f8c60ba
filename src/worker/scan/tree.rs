//! The border between the scan and what it reads from: a commit in git, or a folder.

use super::Caps;
use crate::worker::error::ScanError;

/// Files below one root.
pub(crate) trait Tree {
    /// By which a file is read once it is wanted.
    type Handle: Send;

    /// Hands each entry to `visit`, in any order. Every path is admitted by `caps` first.
    fn list(
        &mut self,
        caps: &mut Caps,
        visit: &mut dyn FnMut(Entry<Self::Handle>),
    ) -> Result<(), ScanError>;

    /// Gets what will be read, and nothing else, at once. The files' sizes, in their order, as far
    /// as they are known then; nothing if all is there already.
    fn prepare(&mut self, _wanted: &[&Self::Handle]) -> Result<Vec<Option<u64>>, ScanError> {
        Ok(Vec::new())
    }

    /// Reads a file of at most `most` bytes. An error ends the scan; what is wrong with this
    /// file alone is no error.
    fn read(&mut self, handle: &Self::Handle, most: u64) -> Result<Content, ScanError>;
}

/// One entry of a tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<H> {
    /// Below the root, with `/`; any bytes but NUL.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind<H>,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind<H> {
    /// A regular file. Its size, where it is known before it is read.
    File { handle: H, size: Option<u64> },
    /// A symbolic link; never followed.
    Link,
    /// Another repository; never fetched.
    Submodule,
    /// Anything else: never opened. In words, why.
    Other(String),
}

/// What reading a file brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// Larger than allowed; its size, where it is known.
    TooLarge(Option<u64>),
    /// In words, why.
    Unreadable(String),
}
