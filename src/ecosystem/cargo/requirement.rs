//! Whether a version satisfies a requirement, by "Specifying Dependencies" of the Cargo book.
//!
//! Input: a requirement of a manifest, and a version of a lock file. Output: whether the version is in its
//! range. Invariants: only the forms with one bound are decided, with or without a caret or a tilde; every other
//! requirement allows nothing.

/// Whether a requirement such as `1.2`, `^0.3.1`, `~1.2` or `=1.2.3` allows a version.
pub(in crate::ecosystem) fn allows(requirement: &str, version: &str) -> bool {
    let requirement = requirement.trim();
    let Some(found) = numbers(version) else { return false };
    let (sign, bound) = match requirement.strip_prefix(['^', '~', '=']) {
        Some(bound) => (requirement.as_bytes().first().copied().unwrap_or(b'^'), bound),
        None => (b'^', requirement),
    };
    let Some(bound) = numbers(bound.trim()) else { return false };
    let fixed = match sign {
        // A tilde fixes major and minor, if both are stated.
        b'~' => bound.len().min(2),
        b'=' => bound.len(),
        // A caret fixes everything up to the first number that is not zero.
        _ => bound.iter().position(|number| *number > 0).map_or(bound.len(), |first| first + 1),
    };
    found.get(..fixed) == bound.get(..fixed) && found >= bound
}

/// The numbers of a version, without a pre-release; none if one of them is not a number.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let core = version.split(['-', '+']).next().unwrap_or(version);
    let parts = core.split('.').take(4).map(|part| part.parse().ok());
    parts.collect::<Option<Vec<u64>>>().filter(|numbers| numbers.len() <= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_with_one_bound_are_decided() {
        for (requirement, version, expected) in [
            ("1", "1.9.2", true),
            ("1", "2.0.0", false),
            ("1.2.3", "1.2.2", false),
            ("^1.2", "1.10.0", true),
            ("0.7", "0.7.3", true),
            ("0.7", "0.8.5", false),
            ("0.0.3", "0.0.4", false),
            ("0", "0.8.5", true),
            ("~1.2", "1.3.0", false),
            ("~1", "1.3.0", true),
            ("= 1.2.3", "1.2.3", true),
            ("=1.2.3", "1.2.4", false),
            ("1.0", "1.0.0-rc.1", true),
            (">=1, <2", "1.0.0", false),
            ("*", "1.0.0", false),
            ("", "1.0.0", false),
        ] {
            assert_eq!(allows(requirement, version), expected, "{requirement} {version}");
        }
    }
}
