//! Tells whether a git reference is a commit, or names a version.
//!
//! Input: a reference. Output: the reference as a version or as a specifier. A commit counts as a version, because it
//! identifies one state of the source. A branch or a tag can move, so it stays a specifier where a package manager
//! has versions of its own ([`commit`]); where nothing but tags has versions, a tag that looks like one is a
//! version ([`split`]).
//!
//! Invariants: a branch is a specifier, and so is a reference with a variable in it.

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

/// The reference as a version, or as a specifier.
pub(crate) fn split(reference: &str) -> (Option<&str>, Option<&str>) {
    if is_version(reference) { (Some(reference), None) } else { (None, Some(reference)) }
}

/// Whether a reference is a commit or looks like a version: `v4`, `1.2.3`, `release/v1`.
fn is_version(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let number = last.strip_prefix(['v', 'V']).unwrap_or(last);
    let is_plain =
        reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+/".contains(&byte));
    is_plain
        && (commit(reference).is_some()
            || number.starts_with(|character: char| character.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_distinguished_from_branches() {
        for version in ["v4", "1.2.3", "v1.0.0-rc.1", "release/v1", "4c8b71f", "2024-01"] {
            assert_eq!(split(version), (Some(version), None));
        }
        for other in ["main", "~latest", "$VERSION", "v$X", "release", "v${{ x }}", ""] {
            assert_eq!(split(other), (None, Some(other)));
        }
    }

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
