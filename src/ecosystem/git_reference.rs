//! Whether the reference of a git source names a commit.
//!
//! A commit is as good as a version: it stands for one state of the source. A branch or a tag
//! can move, so it stays what was asked for.

/// The reference where it is the hash of a commit, whole (SHA-1 or SHA-256) or shortened.
pub(crate) fn commit(reference: &str) -> Option<&str> {
    let hash = reference.len() >= 7
        && (reference.len() <= 40 || reference.len() == 64)
        && reference.bytes().all(|it| it.is_ascii_hexdigit())
        // A word such as `deadbeef` is more likely a branch.
        && reference.bytes().any(|it| it.is_ascii_digit())
        // And a date such as `20240131` more likely a tag.
        && (reference.len() == 40 || reference.bytes().any(|it| it.is_ascii_alphabetic()));
    hash.then_some(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_branches_and_tags() {
        for hash in ["4c8b71f58cb8b9e042d6ab73303d63beee7c522b", "4c8b71f"] {
            assert_eq!(commit(hash), Some(hash));
        }
        for other in ["main", "v1.2.3", "20240131", "deadbeef", "4c8b71", ""] {
            assert_eq!(commit(other), None);
        }
    }
}
