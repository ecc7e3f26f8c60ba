//! Tells whether the reference after an `@` is a version.
//!
//! Input: the reference. Output: a version or a specifier. Invariants: a branch is a specifier, and so is a
//! reference with a variable in it.

use crate::ecosystem::git_reference;

/// The reference as a version, or as a specifier.
pub(super) fn split(reference: &str) -> (Option<&str>, Option<&str>) {
    if is_version(reference) { (Some(reference), None) } else { (None, Some(reference)) }
}

/// Whether a reference is a commit or looks like a version: `v4`, `1.2.3`, `release/v1`.
fn is_version(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let number = last.strip_prefix(['v', 'V']).unwrap_or(last);
    let is_plain =
        reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+/".contains(&byte));
    is_plain
        && (git_reference::commit(reference).is_some()
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
}
