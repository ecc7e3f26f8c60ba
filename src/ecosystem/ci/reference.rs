//! What a pipeline asks for behind an `@`: a tag, a commit or a branch.
//!
//! What flows in: the reference. What flows out: whether it is a version. What must stay true: a branch
//! is a specifier; so is what a variable is part of.

use crate::ecosystem::git_reference;

/// The reference as version, or as specifier.
pub(super) fn split(reference: &str) -> (Option<&str>, Option<&str>) {
    if is_version(reference) { (Some(reference), None) } else { (None, Some(reference)) }
}

/// A commit, or what looks like the number of a version: `v4`, `1.2.3`, `release/v1`.
fn is_version(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let number = last.strip_prefix(['v', 'V']).unwrap_or(last);
    let is_plain = reference.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-+/".contains(&it));
    is_plain
        && (git_reference::commit(reference).is_some()
            || number.starts_with(|it: char| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_branches() {
        for version in ["v4", "1.2.3", "v1.0.0-rc.1", "release/v1", "4c8b71f", "2024-01"] {
            assert_eq!(split(version), (Some(version), None));
        }
        for other in ["main", "~latest", "$VERSION", "v$X", "release", "v${{ x }}", ""] {
            assert_eq!(split(other), (None, Some(other)));
        }
    }
}
