//! The entries of a small tree, read through the git process that answers all queries: starting
//! `git ls-tree` takes longer than reading a few trees.
//!
//! Input: a commit. Output: the entries that `git ls-tree -r` would list, in the same order, or
//! nothing.
//!
//! Invariants: few trees of few bytes are read; a tree that is larger, missing or malformed is left
//! to `git ls-tree`, which streams trees of any size and explains what is wrong with them.

use super::{GitError, objects::Objects};
use crate::{
    model::digest::hexadecimal,
    worker::tree::{Entry, Kind},
};

/// How many trees are read: each is a query, so that of more than this `git ls-tree` is faster.
const MOST_TREES: usize = 32;
/// How many bytes all of them have together: about two thousand entries.
const MOST_BYTES: usize = 64 << 10;

/// A part of the tree that is not listed yet.
enum Left {
    Entry(Entry<String>),
    /// The path of a folder, with a `/` at its end, and the name of its tree.
    Tree(Vec<u8>, String),
}

/// Lists all files below a commit. `None` if the tree is not small, or not valid.
pub(super) fn entries(
    objects: &mut Objects,
    commit: &str,
    longest_path: usize,
) -> Result<Option<Vec<Entry<String>>>, GitError> {
    let id_bytes = commit.len() / 2;
    let (mut trees, mut bytes) = (MOST_TREES, MOST_BYTES);
    let mut found = Vec::new();
    // The next part is last.
    let mut left = vec![Left::Tree(Vec::new(), format!("{commit}^{{tree}}"))];
    while let Some(next) = left.pop() {
        let (folder, name) = match next {
            Left::Entry(entry) => {
                found.push(entry);
                continue;
            }
            Left::Tree(folder, name) => (folder, name),
        };
        let Some(trees_after) = trees.checked_sub(1) else { return Ok(None) };
        let Some(tree) = objects.tree(&name, bytes as u64)? else { return Ok(None) };
        (trees, bytes) = (trees_after, bytes.saturating_sub(tree.len()));
        let Some(mut parts) = parse(&tree, &folder, id_bytes, longest_path) else {
            return Ok(None);
        };
        parts.reverse();
        left.append(&mut parts);
    }
    Ok(Some(found))
}

/// Parses a tree object: for each entry its mode in octal digits, a space, its name, a NUL, and its
/// id in bytes. `None` if it is malformed, or has a path that is too long.
fn parse(tree: &[u8], folder: &[u8], id_bytes: usize, longest_path: usize) -> Option<Vec<Left>> {
    let mut parts = Vec::new();
    let mut rest = tree;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let (mode, named) = (&rest[..space], &rest[space + 1..]);
        let end = named.iter().position(|byte| *byte == 0)?;
        let (name, after) = (&named[..end], &named[end + 1..]);
        let (id, next) = after.split_at_checked(id_bytes)?;
        if name.is_empty() || name.contains(&b'/') {
            return None;
        }
        let path = [folder, name].concat();
        if path.len() > longest_path {
            return None;
        }
        parts.push(part(mode, path, hexadecimal(id))?);
        rest = next;
    }
    Some(parts)
}

/// The types of entries are the file types of inode(7), whatever the permissions are; git takes any
/// other type for a submodule.
fn part(mode: &[u8], mut path: Vec<u8>, id: String) -> Option<Left> {
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    let kind = match mode & 0o170_000 {
        0o040_000 => {
            path.push(b'/');
            return Some(Left::Tree(path, id));
        }
        0o100_000 => Kind::File { handle: id, size: None },
        0o120_000 => Kind::Link,
        _ => Kind::Submodule { commit: Some(id) },
    };
    Some(Left::Entry(Entry { path, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
        let mut tree = Vec::new();
        for (mode, name, id) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(&[*id; 20]);
        }
        tree
    }

    fn paths(parts: &[Left]) -> Vec<String> {
        let path = |part: &Left| {
            match part {
                Left::Entry(entry) => &entry.path,
                Left::Tree(path, _) => path,
            }
            .clone()
        };
        parts.iter().map(|part| String::from_utf8(path(part)).unwrap()).collect()
    }

    #[test]
    fn entries_have_the_types_that_git_gives_them() {
        let tree = tree(&[
            ("100644", "a", 1),
            ("100664", "old", 2),
            ("120000", "link", 3),
            ("160000", "module", 4),
            ("40000", "folder", 5),
        ]);
        let parts = parse(&tree, b"top/", 20, 100).unwrap();
        assert_eq!(paths(&parts), ["top/a", "top/old", "top/link", "top/module", "top/folder/"]);
        let kinds: Vec<_> = parts
            .into_iter()
            .filter_map(|part| match part {
                Left::Entry(entry) => Some(entry.kind),
                Left::Tree(..) => None,
            })
            .collect();
        let id = |byte: &str| byte.repeat(20);
        assert_eq!(
            kinds,
            [
                Kind::File { handle: id("01"), size: None },
                Kind::File { handle: id("02"), size: None },
                Kind::Link,
                Kind::Submodule { commit: Some(id("04")) },
            ]
        );
    }

    /// Fails if a tree that git would refuse, or lists in another way, is read here.
    #[test]
    fn what_is_malformed_is_left_to_git() {
        let whole = tree(&[("100644", "a", 1)]);
        assert!(parse(&whole, b"", 20, 100).is_some());
        for cut in 1..whole.len() {
            assert!(parse(&whole[..cut], b"", 20, 100).is_none(), "{cut}");
        }
        for odd in [("100644", "", 1), ("100644", "a/b", 1), ("", "a", 1), ("8", "a", 1)] {
            assert!(parse(&tree(&[odd]), b"", 20, 100).is_none(), "{odd:?}");
        }
        assert!(parse(&whole, b"folder/", 20, 7).is_none());
    }
}
