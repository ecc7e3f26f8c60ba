//! Resolutions: which package of a lock file is the one for a requirement of a manifest.
//!
//! A lock file with several versions of a package states in its own way which of them a manifest gets: by the
//! range (`name@range` of yarn), by the folder of the project (npm, pnpm, bun) or by its name (cargo).
//!
//! Input: what a lock file states, and a requirement. Output: the purl of the package; none if the lock file
//! does not state it, or if several packages are possible. Invariants: a search takes as many steps as
//! the lock file has resolutions of that name.

use super::{
    facts::{Fact, Facts},
    path::folder_of,
    project::below,
};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

/// The projects for which a lock file states a resolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Importer<'a> {
    /// Every project that states the same range.
    Any,
    /// The project in a folder, relative to that of the lock file.
    Folder(&'a str),
    /// The project of this name.
    Project(&'a str),
}

#[derive(Debug, PartialEq, Eq)]
enum Owner {
    Any,
    /// From the root of the repository.
    Folder(String),
    Project(String),
}

/// One resolution.
#[derive(Debug)]
pub(crate) struct Resolution {
    purl: String,
    owner: Owner,
    /// The range or the exact version, as the manifest states it; empty if the lock file does not state it.
    range: String,
}

impl Resolution {
    pub(super) fn new(purl: &str, importer: Importer<'_>, range: &str, file: &str) -> Self {
        let owner = match importer {
            Importer::Any => Owner::Any,
            // A folder outside of the repository is that of no manifest.
            Importer::Folder(folder) => below(&home_of(file), folder)
                .map_or_else(|| Owner::Project(String::new()), Owner::Folder),
            Importer::Project(name) => Owner::Project(name.to_owned()),
        };
        Self { purl: purl.to_owned(), owner, range: range.to_owned() }
    }

    /// The size of its texts in bytes.
    pub(super) fn text_len(&self) -> usize {
        let owner = match &self.owner {
            Owner::Any => 0,
            Owner::Folder(text) | Owner::Project(text) => text.len(),
        };
        self.purl.len() + self.range.len() + owner
    }
}

/// The root of a repository of Rush, from the folder of its lock file, which is apart from the projects.
/// With it the name of the subspace of the lock file.
pub(super) fn rush_root(folder: &str) -> Option<(&str, Option<&str>)> {
    let of_subspace = || {
        let (above, subspace) = folder.rsplit_once('/')?;
        Some((above.strip_suffix("common/config/subspaces")?, Some(subspace)))
    };
    let of_all = folder.strip_suffix("common/config/rush").map(|root| (root, None));
    let (root, subspace) = of_all.or_else(of_subspace)?;
    let root = if root.is_empty() { Some(root) } else { root.strip_suffix('/') };
    Some((root?, subspace))
}

/// The folder that the folders in a lock file are relative to: that of the file, or the one where Rush installs.
fn home_of(file: &str) -> Cow<'_, str> {
    let Some((root, subspace)) = rush_root(folder_of(file)) else {
        return Cow::Borrowed(folder_of(file));
    };
    let segments = [Some(root).filter(|root| !root.is_empty()), Some("common/temp"), subspace];
    Cow::Owned(segments.into_iter().flatten().collect::<Vec<_>>().join("/"))
}

/// The resolutions of one lock file.
#[derive(Debug)]
pub(super) struct Resolutions {
    pub(super) file: String,
    pub(super) all: Vec<Resolution>,
}

impl Fact for Resolutions {
    /// A resolution takes at most a quarter of the memory of a package.
    fn size(&self) -> usize {
        self.all.len() / 4
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Resolved| all.add(*self));
    }
}

/// The name of the project that a manifest describes, where lock files state it.
#[derive(Debug)]
pub(super) struct ProjectName {
    pub(super) folder: String,
    pub(super) name: String,
}

impl Fact for ProjectName {
    fn size(&self) -> usize {
        1
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|all: &mut Resolved| all.projects.insert(self.folder, self.name));
    }
}

/// The resolutions of all lock files.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// By lock file, and by the purl without a version.
    by_file: HashMap<String, HashMap<String, Vec<Resolution>>>,
    /// The name of each project, by its folder.
    projects: HashMap<String, String>,
}

/// A requirement of a manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requirement<'a> {
    /// The folder of the manifest.
    pub(super) folder: &'a str,
    /// The exact version or the range; empty if the manifest states none.
    pub(super) range: &'a str,
    /// Whether a version satisfies the range, if the ecosystem has a rule.
    pub(super) allows: Option<fn(range: &str, version: &str) -> bool>,
}

impl Resolved {
    fn add(&mut self, of_file: Resolutions) {
        let Resolutions { file, all } = of_file;
        let by_name = self.by_file.entry(file).or_default();
        for resolution in all {
            let name = unversioned(&resolution.purl).to_owned();
            by_name.entry(name).or_default().push(resolution);
        }
    }

    /// What a lock file states about a package, by its purl without a version; none if it has only one
    /// version of it.
    pub(super) fn of(&self, file: &str, name: &str) -> Option<&[Resolution]> {
        self.by_file.get(file)?.get(name).map(Vec::as_slice)
    }

    /// The package for a requirement.
    pub(super) fn find<'r>(
        &self,
        stated: &'r [Resolution],
        required: Requirement<'_>,
    ) -> Option<&'r str> {
        let project = self.projects.get(required.folder).map(String::as_str);
        let is_owner = |resolution: &Resolution| match &resolution.owner {
            Owner::Any => true,
            Owner::Folder(folder) => folder == required.folder,
            Owner::Project(name) => Some(name.as_str()) == project,
        };
        let own = || stated.iter().filter(|resolution| is_owner(resolution));
        let by_range = own().filter(|resolution| resolution.range == required.range);
        let allowed = |resolution: &&Resolution| {
            let version = resolution.purl.split_once('@').map_or("", |(_, version)| version);
            required.allows.is_some_and(|allows| allows(required.range, version))
        };
        // The lock file may state the range differently, but the project has only one package of the name.
        let of_project = || own().filter(|resolution| resolution.owner != Owner::Any);
        only(by_range)
            .or_else(|| only(of_project()))
            .or_else(|| only(of_project().filter(allowed)))
            // A manifest that only defines ranges for others has no project.
            .or_else(|| only(stated.iter().filter(allowed).filter(|_| own().next().is_none())))
    }
}

/// The purl of these resolutions, if it is one.
fn only<'r>(resolutions: impl Iterator<Item = &'r Resolution>) -> Option<&'r str> {
    let mut purls: BTreeSet<&str> =
        resolutions.map(|resolution| resolution.purl.as_str()).collect();
    let first = purls.pop_first()?;
    purls.is_empty().then_some(first)
}

/// A purl without its version. Every other `@` in a purl is percent-encoded.
fn unversioned(purl: &str) -> &str {
    purl.split(['@', '?', '#']).next().unwrap_or(purl)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares what three resolutions of one name give for a requirement.
    #[track_caller]
    fn check(folder: &str, range: &str, expected: Option<&str>) {
        let resolution = |version: &str, importer, range| {
            Resolution::new(&format!("pkg:npm/a@{version}"), importer, range, "web/lock")
        };
        let mut resolved = Resolved::default();
        let all = vec![
            resolution("1.0.0", Importer::Any, "^1"),
            resolution("2.0.0", Importer::Folder("../libs/one"), "^2"),
            resolution("3.0.0", Importer::Project("two"), ""),
            resolution("9.0.0", Importer::Folder("../../outside"), "^9"),
        ];
        resolved.add(Resolutions { file: "web/lock".to_owned(), all });
        resolved.projects.insert("two".to_owned(), "two".to_owned());
        let stated = resolved.of("web/lock", "pkg:npm/a").unwrap();
        let required = Requirement { folder, range, allows: None };
        assert_eq!(resolved.find(stated, required), expected, "{folder} {range}");
        assert!(resolved.of("web/lock", "pkg:npm/b").is_none());
    }

    #[test]
    fn a_requirement_is_resolved_by_range_or_by_project() {
        check("anywhere", "^1", Some("pkg:npm/a@1.0.0"));
        check("libs/one", "^2", Some("pkg:npm/a@2.0.0"));
        check("libs/one", "^1", Some("pkg:npm/a@1.0.0"));
        check("libs/one", "catalog:", Some("pkg:npm/a@2.0.0"));
        check("two", "3", Some("pkg:npm/a@3.0.0"));
        check("anywhere", "^2", None);
        check("anywhere", "^9", None);
    }

    #[test]
    fn folders_in_the_lock_file_of_rush_are_relative_to_its_installation() {
        for (file, home) in [
            ("common/config/rush/pnpm-lock.yaml", "common/temp"),
            ("a/b/common/config/rush/pnpm-lock.yaml", "a/b/common/temp"),
            ("common/config/subspaces/apps/pnpm-lock.yaml", "common/temp/apps"),
            ("a/common/config/subspaces/apps/pnpm-lock.yaml", "a/common/temp/apps"),
            ("uncommon/config/rush/pnpm-lock.yaml", "uncommon/config/rush"),
            ("web/pnpm-lock.yaml", "web"),
        ] {
            assert_eq!(home_of(file), home, "{file}");
        }
    }

    #[test]
    fn a_range_of_the_ecosystem_decides_between_versions_of_one_project() {
        let all = ["1.2.0", "2.0.1"].map(|version| {
            Resolution::new(&format!("pkg:cargo/a@{version}"), Importer::Project("p"), "", "lock")
        });
        let mut resolved = Resolved::default();
        resolved.add(Resolutions { file: "lock".to_owned(), all: all.into() });
        resolved.projects.insert(String::new(), "p".to_owned());
        let stated = resolved.of("lock", "pkg:cargo/a").unwrap();
        let find = |range: &'static str| {
            let allows: fn(&str, &str) -> bool = |range, version| version.starts_with(range);
            resolved.find(stated, Requirement { folder: "", range, allows: Some(allows) })
        };
        assert_eq!(find("2"), Some("pkg:cargo/a@2.0.1"));
        assert_eq!(find("3"), None);
    }
}
