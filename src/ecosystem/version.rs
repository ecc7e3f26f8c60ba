//! Distinguishes complete versions from ranges.
//!
//! Input: the version that a file requires. Output: whether it is one version by Semantic Versioning, section 2: three
//! numbers, with a pre-release and build metadata. Invariants: a leading `v` is allowed.

/// Whether a text is a complete version and not a range.
pub(crate) fn is_complete(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_distinguished_from_ranges() {
        for version in ["1.2.3", "v1.2.3", "1.2.3-rc.1+build"] {
            assert!(is_complete(version), "{version}");
        }
        for other in ["1.2", "^1.2.3", "1.2.x", "1.2.3.4", "latest", "{{ version }}", ""] {
            assert!(!is_complete(other), "{other}");
        }
    }
}
