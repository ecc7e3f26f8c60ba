//! Tells whether a git reference is a commit.
//!
//! A commit counts as a version, because it identifies one state of the source. A branch or a tag can
//! move, so it stays a specifier.

/// The reference, if it is a commit hash: complete (SHA-1 or SHA-256) or abbreviated.
pub(crate) fn commit(reference: &str) -> Option<&str> {
    let hash = reference.len() >= 7
        && (reference.len() <= 40 || reference.len() == 64)
        && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
        // A word such as `deadbeef` is more likely a branch.
        && reference.bytes().any(|byte| byte.is_ascii_digit())
        // A date such as `20240131` is more likely a tag.
        && (reference.len() == 40 || reference.bytes().any(|byte| byte.is_ascii_alphabetic()));
    hash.then_some(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_distinguished_from_branches_and_tags() {
        for hash in ["4c8b71f58cb8b9e042d6ab73303d63beee7c522b", "4c8b71f"] {
            assert_eq!(commit(hash), Some(hash));
        }
        for other in ["main", "v1.2.3", "20240131", "deadbeef", "4c8b71", ""] {
            assert_eq!(commit(other), None);
        }
    }
}
