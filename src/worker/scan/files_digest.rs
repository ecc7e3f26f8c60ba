//! The digest of everything in a tree that the result of a scan depends on.
//!
//! Input: the entries of the tree, in the order in which git lists them, and what the listing found. Output: a SHA-256, or
//! none if a file has no id. Invariants: two trees with the same digest have the same result for the same task, except
//! for the commit and the number of files.

use crate::model::{digest::hexadecimal, scan_result::FileCounts};
use ring::digest::{Context, SHA256};
use std::collections::BTreeMap;

/// A digest of the entries so far.
pub(super) struct FilesDigest {
    context: Context,
    /// A deep scan learns modules from the paths of all files.
    is_deep: bool,
    is_complete: bool,
}

/// What an entry is to the scan.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen<'a> {
    /// A file that is read, with the id of its content, if there is one.
    Read(Option<&'a str>),
    /// An entry that is not read but has a warning, or is known by its path: a link, a submodule and its commit.
    Noted(&'a str),
    /// Any other file.
    Path,
}

impl FilesDigest {
    pub(super) fn new(is_deep: bool) -> Self {
        Self { context: Context::new(&SHA256), is_deep, is_complete: true }
    }

    /// Adds an entry.
    pub(super) fn see(&mut self, path: &[u8], seen: Seen<'_>) {
        let (kind, detail) = match seen {
            Seen::Read(Some(id)) => (1, id),
            Seen::Read(None) => {
                self.is_complete = false;
                return;
            }
            Seen::Noted(what) => (2, what),
            Seen::Path if self.is_deep => (3, ""),
            Seen::Path => return,
        };
        self.context.update(&[kind]);
        self.part(path);
        self.part(detail.as_bytes());
    }

    /// The digest, with what the listing found.
    pub(super) fn finish(
        mut self,
        files: &FileCounts,
        infrastructure: &BTreeMap<String, bool>,
    ) -> Option<String> {
        for (name, is_used) in infrastructure {
            self.part(name.as_bytes());
            self.context.update(&[u8::from(*is_used)]);
        }
        self.context.update(&files.skipped.to_le_bytes());
        self.context.update(&files.excluded.to_le_bytes());
        let text = hexadecimal(self.context.finish().as_ref());
        self.is_complete.then_some(text)
    }

    /// Adds bytes after their length, so that parts cannot be mistaken for each other.
    fn part(&mut self, bytes: &[u8]) {
        self.context.update(&(bytes.len() as u64).to_le_bytes());
        self.context.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(is_deep: bool, entries: &[(&str, Seen<'_>)]) -> Option<String> {
        let mut digest = FilesDigest::new(is_deep);
        for (path, seen) in entries {
            digest.see(path.as_bytes(), *seen);
        }
        digest.finish(&FileCounts::default(), &BTreeMap::new())
    }

    /// Fails if a change that a result depends on leaves the digest as it was, or another change alters it.
    #[test]
    fn the_digest_changes_with_what_the_result_depends_on() {
        let lock = ("Cargo.lock", Seen::Read(Some("aa")));
        let base = digest(false, &[lock]);
        assert!(base.is_some());
        assert_eq!(base, digest(false, &[lock, ("README", Seen::Path)]));
        for other in [
            &[("Cargo.lock", Seen::Read(Some("ab")))][..],
            &[("a/Cargo.lock", Seen::Read(Some("aa")))],
            &[],
            &[lock, ("b/Cargo.lock", Seen::Read(Some("aa")))],
            &[lock, ("x", Seen::Noted("link"))],
            &[lock, ("lib", Seen::Noted("aa"))],
            &[("Cargo.lockaa", Seen::Read(Some("")))],
        ] {
            assert_ne!(base, digest(false, other), "{other:?}");
        }
        assert_ne!(digest(true, &[lock]), digest(true, &[lock, ("src/a.py", Seen::Path)]));
        assert_eq!(digest(false, &[lock, ("b", Seen::Read(None))]), None);
        let counted = |files| FilesDigest::new(false).finish(&files, &BTreeMap::new());
        let excluded = FileCounts { excluded: 1, skipped: 1, ..FileCounts::default() };
        assert_ne!(counted(excluded), counted(FileCounts::default()));
        assert_eq!(
            counted(FileCounts { seen: 9, ..FileCounts::default() }),
            counted(FileCounts::default())
        );
        let usage = BTreeMap::from([("docker".to_owned(), true)]);
        let with_docker = FilesDigest::new(false).finish(&FileCounts::default(), &usage);
        assert_ne!(with_docker, counted(FileCounts::default()));
    }
}
