//! Warns about git versions without important security fixes.
//!
//! Input: `git version`. Output: a log line.
//!
//! Only a warning: distributions backport fixes without changing the number, and the way in which
//! git is used here (nothing checked out, no submodules, no bundles) does not reach the known
//! vulnerabilities.

use super::{Git, GitError, command::SHORT_CALL};
use crate::worker::log::Log;

/// The first release of each line that has the fixes of July 2025 (CVE-2025-48384 and -48385)
/// and, with them, those of May 2024 (CVE-2024-32002 and its siblings). Newer lines have them
/// from the start.
const FIXED: [(u32, u32, u32); 8] = [
    (2, 43, 7),
    (2, 44, 4),
    (2, 45, 4),
    (2, 46, 4),
    (2, 47, 3),
    (2, 48, 2),
    (2, 49, 1),
    (2, 50, 1),
];

/// Queries git's version, and warns in the log if it is old.
///
/// # Errors
/// If git is not installed.
pub(crate) fn warn_if_old(git: &Git, log: &Log) -> Result<(), GitError> {
    let answer = git.local("version").arg("version").output(SHORT_CALL)?;
    let answer = answer.successful("version")?.text();
    match parse(&answer) {
        Some(version) if is_fixed(version) => {}
        Some((major, minor, patch)) => log.warn(&format!(
            "git {major}.{minor}.{patch} may lack the security fixes of 2.43.7, 2.50.1 and later \
             (CVE-2025-48384); update git unless your distribution has backported them"
        )),
        None => log.warn(&format!("unknown git version: {answer}")),
    }
    Ok(())
}

/// Parses `git version 2.47.3` with any suffix.
pub(super) fn parse(answer: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = answer.strip_prefix("git version ")?.split(['.', ' ', '-']);
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?, next().unwrap_or(0)))
}

fn is_fixed(version: (u32, u32, u32)) -> bool {
    let (major, minor, patch) = version;
    match FIXED.iter().find(|fixed| (fixed.0, fixed.1) == (major, minor)) {
        Some(fixed) => patch >= fixed.2,
        None => (major, minor) > (2, 50),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_releases_are_distinguished_from_fixed_ones() {
        for (answer, fixed) in [
            ("git version 2.47.3", true),
            ("git version 2.47.2", false),
            ("git version 2.50.1 (Apple Git-155)", true),
            ("git version 2.51.0.windows.1", true),
            ("git version 2.45.1", false),
            ("git version 2.39.5", false),
            ("git version 3.0", true),
        ] {
            assert_eq!(is_fixed(parse(answer).unwrap()), fixed, "{answer}");
        }
        assert_eq!(parse("git version next"), None);
    }
}
