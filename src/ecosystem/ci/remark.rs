//! The versions that comments name beside pinned commits: `uses: a/b@4c8b71f… # v4.2.2`.
//!
//! Input: the text of a file. Output: these versions, by line. Invariants: a comment that does not begin with
//! a version gives none; a commit is not a version here.

use crate::ecosystem::git_reference;
use std::collections::HashMap;

/// The versions in the comments of the lines that contain `mark`.
pub(super) fn remarks<'t>(text: &'t str, mark: &str) -> HashMap<u32, &'t str> {
    let lines = (1_u32..).zip(text.lines()).filter(|(_, line)| line.contains(mark));
    lines.filter_map(|(number, line)| Some((number, remark(line)?))).collect()
}

/// The version in a comment: `# v4.2.2`, Renovate's `# tag=v1.0.3`, Ratchet's `# ratchet:a/b@v4`, and
/// `# frozen: v1.4.0` of `pre-commit autoupdate --freeze`.
fn remark(line: &str) -> Option<&str> {
    let (_, comment) = line.split_once(" #")?;
    let comment = comment.trim_start();
    let comment = comment.strip_prefix("frozen:").unwrap_or(comment);
    let word = comment.split_whitespace().next()?;
    let word = word.strip_prefix("tag=").unwrap_or(word);
    let version = match word.strip_prefix("ratchet:") {
        Some(pinned) => pinned.rsplit_once('@')?.1,
        None => word,
    };
    let is_version = git_reference::split(version).0.is_some();
    (is_version && git_reference::commit(version).is_none()).then_some(version)
}
