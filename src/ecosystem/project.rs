//! The project that a manifest describes, and the members of its workspace.
//!
//! Input: a name, and patterns of folders relative to the manifest. Output: the same from the root of the
//! repository. Invariants: the number of patterns is bounded; no pattern leads out of the repository.

use super::path::folder_of;
use crate::model::{ecosystem::Ecosystem, pattern::Pattern};

/// Patterns that are read of one manifest. Some workspaces list each of their folders.
const MAX_PATTERNS: usize = 1_000;

/// The project that a manifest describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The manifest's folder, from the root of the repository.
    pub(super) folder: String,
    pub(super) ecosystem: Ecosystem,
    /// The project's purl without a version.
    pub(super) name: Option<String>,
    /// The member folders of its workspace, from the root of the repository.
    pub(super) members: Vec<Pattern>,
    pub(super) excluded: Vec<Pattern>,
}

impl Project {
    /// `members` are patterns of folders relative to the manifest's, with `*` and `**`. A pattern
    /// after `!` excludes folders.
    pub(super) fn new<'a>(
        file: &str,
        ecosystem: Ecosystem,
        name: Option<String>,
        members: impl Iterator<Item = &'a str>,
    ) -> Self {
        let folder = folder_of(file).to_owned();
        let mut project =
            Self { folder, ecosystem, name, members: Vec::new(), excluded: Vec::new() };
        for member in members.take(MAX_PATTERNS) {
            let (list, member) = match member.strip_prefix('!') {
                Some(member) => (&mut project.excluded, member),
                None => (&mut project.members, member),
            };
            list.extend(below(&project.folder, member).and_then(|pattern| pattern.parse().ok()));
        }
        project
    }

    /// The manifest's folder, from the root of the repository.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn is_of(&self, ecosystem: Ecosystem) -> bool {
        self.ecosystem == ecosystem
    }

    /// The members of its workspace as patterns, if it has any.
    #[cfg(test)]
    pub(super) fn shown_members(&self) -> Option<String> {
        let members = self.members.iter().map(ToString::to_string);
        let excluded = self.excluded.iter().map(|pattern| format!("!{pattern}"));
        let shown: Vec<_> = members.chain(excluded).collect();
        (!shown.is_empty()).then(|| shown.join(" "))
    }

    /// The approximate size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let patterns = self.members.len() + self.excluded.len();
        self.folder.len() + self.name.as_ref().map_or(0, String::len) + patterns * 1_000
    }
}

/// Resolves a path relative to a folder; none if it leads out of the repository.
pub(super) fn below(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
