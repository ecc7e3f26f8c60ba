//! Workspaces: which requirements name a project of the same repository.
//!
//! Input: the name and the workspace members that each manifest declares; of cargo manifests only
//! whether they are a workspace, because cargo itself marks path dependencies. Output: whether a
//! requirement of a manifest is a project of its own workspace; those are dropped.
//!
//! Invariants: memory and time are bounded whatever the manifests declare; a requirement that is not
//! certainly a project of the repository stays a package.
//!
//! A project requires its neighbour as it requires any other package, by name and range; only the
//! workspace distinguishes the two. Sources: npm's "Workspaces", Yarn's "Workspaces", pnpm's
//! "pnpm-workspace.yaml", Composer's "Repositories", section "Path", Dart's "Pub workspaces", Cabal's
//! "cabal.project Reference", Stack's "Project-level configuration", Go's "Workspaces", uv's "Using
//! workspaces", Pkg's "Workspaces".

use super::{
    budget::Budget, path::folder_of, project::Project, purl::canonical_name, step::Joining,
};
use crate::model::{
    ecosystem::Ecosystem,
    pattern::Pattern,
    scan_result::{Source, Warning},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Comparisons of folders with patterns in one repository: at most a second of work.
const MAX_COMPARISONS: usize = 1_000_000;

/// Drops requirements of manifests that name a project of the same workspace. Entries of lock files
/// stay, because a lock file itself states where each package comes from.
pub(super) fn drop_own_projects(joining: &mut Joining<'_>) {
    let workspaces = Workspaces::of(&joining.projects, joining.budget);
    joining.packages.retain(|package| {
        package.source != Source::Manifest
            || !package.ecosystem.known().is_some_and(|ecosystem| {
                workspaces.has(ecosystem, &package.file, &canonical_name(package))
            })
    });
    if workspaces.is_cut_short {
        joining.warnings.push(Warning {
            file: String::new(),
            line: None,
            message: "more projects and workspaces than are compared: some of the repository's \
                      own projects may be listed as packages"
                .to_owned(),
        });
    }
}

/// All workspaces of a repository.
struct Workspaces<'a> {
    budget: &'a Budget,
    /// The names of the projects of each workspace.
    names: Vec<HashSet<&'a str>>,
    /// The indices of the workspaces that a folder belongs to, by ecosystem and folder.
    of_folder: HashMap<(Ecosystem, &'a str), Vec<usize>>,
    /// Whether the limit of comparisons was reached.
    is_cut_short: bool,
}

impl<'a> Workspaces<'a> {
    fn of(projects: &'a [Project], budget: &'a Budget) -> Self {
        let mut by_folder: BTreeMap<(Ecosystem, &str), Vec<&Project>> = BTreeMap::new();
        for project in projects {
            let key = (project.ecosystem, project.folder.as_str());
            by_folder.entry(key).or_default().push(project);
        }
        let mut all =
            Self { budget, names: Vec::new(), of_folder: HashMap::new(), is_cut_short: false };
        let mut comparisons = 0;
        for ((ecosystem, root), of_root) in &by_folder {
            let mut folders = HashSet::new();
            for project in of_root {
                folders.extend(members(project, &by_folder, &mut comparisons, budget));
            }
            if folders.is_empty() {
                continue;
            }
            folders.insert(*root);
            let mut names = HashSet::new();
            for folder in folders {
                let key = (*ecosystem, folder);
                let of_folder = by_folder.get(&key).into_iter().flatten();
                names.extend(of_folder.filter_map(|project| project.name.as_deref()));
                all.of_folder.entry(key).or_default().push(all.names.len());
            }
            all.names.push(names);
        }
        all.is_cut_short = comparisons > MAX_COMPARISONS;
        all
    }

    /// Whether a requirement of a manifest, by its purl without a version, is a project of the
    /// manifest's own workspace.
    fn has(&self, ecosystem: Ecosystem, file: &str, name: &str) -> bool {
        let key = (ecosystem, folder_of(file));
        let of_folder = self.of_folder.get(&key).into_iter().flatten();
        of_folder
            .take_while(|_| self.budget.read(8 + name.len()))
            .filter_map(|at| self.names.get(*at))
            .any(|names| names.contains(name))
    }
}

/// The folders of projects that match the patterns of a workspace.
fn members<'a>(
    of: &'a Project,
    by_folder: &BTreeMap<(Ecosystem, &'a str), Vec<&Project>>,
    comparisons: &mut usize,
    budget: &Budget,
) -> Vec<&'a str> {
    let matches = |pattern: &Pattern, folder: &str| {
        // A pattern without a slash would match the last segment of any path.
        let is_whole = pattern.as_str().contains('/') || pattern.as_str().contains("**");
        (is_whole || !folder.contains('/')) && pattern.matches(folder)
    };
    let mut found = Vec::new();
    for pattern in &of.members {
        let fixed = fixed_part(pattern.as_str());
        for ((ecosystem, folder), _) in by_folder.range((of.ecosystem, fixed)..) {
            if *ecosystem != of.ecosystem || !folder.starts_with(fixed) {
                break;
            }
            *comparisons += 1 + of.excluded.len();
            let length = (pattern.as_str().len() + folder.len()) * (1 + of.excluded.len());
            if *comparisons > MAX_COMPARISONS || !budget.read(length) {
                return found;
            }
            let is_excluded = || of.excluded.iter().any(|pattern| matches(pattern, folder));
            if matches(pattern, folder) && !is_excluded() {
                found.push(*folder);
            }
        }
    }
    found
}

/// The literal prefix that all matching folders share.
fn fixed_part(pattern: &str) -> &str {
    let wildcard = pattern.find(['*', '?']).unwrap_or(pattern.len());
    let fixed = pattern.get(..wildcard).unwrap_or_default();
    // `a/**/b` also matches `a/b`.
    fixed.strip_suffix('/').unwrap_or(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(folder: &str, name: &str, members: &[&str]) -> Project {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Project::new(&format!("{folder}/x"), Ecosystem::Npm, name, members.iter().copied())
    }

    /// Asserts whether the workspace has the project `a`, whose folder is `libs/a`.
    #[track_caller]
    fn check(members: &[&str], expected: bool) {
        let projects =
            [project("", "root", members), project("libs/a", "a", &[]), project("web", "w", &[])];
        let workspaces = Workspaces::of(&projects, Budget::alone(1 << 24));
        assert_eq!(workspaces.has(Ecosystem::Npm, "x", "a"), expected, "{members:?}");
        assert!(!workspaces.is_cut_short);
    }

    #[test]
    fn members_are_matched_by_patterns() {
        for members in
            ["libs/a", "./libs/a/", "libs/*", "**", "libs/**", "li*/a", "*/?", "x/../libs/a"]
        {
            check(&[members], true);
        }
        for members in ["a", "libs", "*", "libs/a/*", "../libs/a", "libs/b"] {
            check(&[members], false);
        }
        check(&["libs/*", "!libs/a"], false);
        check(&["libs/*", "!libs/b"], true);
        check(&["!libs/b"], false);
    }

    #[test]
    fn a_workspace_has_its_own_members_only() {
        let projects = [
            project("one", "one", &["a", "b"]),
            project("one/a", "a", &[]),
            project("one/b", "b", &[]),
            project("two", "two", &["../one/a"]),
            project("else", "else", &[]),
        ];
        let workspaces = Workspaces::of(&projects, Budget::alone(1 << 24));
        let has = |folder: &str, name| workspaces.has(Ecosystem::Npm, &format!("{folder}/x"), name);
        assert!(has("one", "a") && has("one/a", "b") && has("one/b", "one") && has("two", "a"));
        assert!(!has("two", "b") && !has("else", "a") && !has("one/a", "else"));
        // `one/a` is in two workspaces.
        assert!(has("one/a", "two"));
    }

    #[test]
    fn comparisons_are_limited() {
        let many = 1_100;
        let projects: Vec<_> =
            (0..many).map(|number| project(&format!("p/{number}"), "a", &["../**"])).collect();
        assert!(Workspaces::of(&projects, Budget::alone(1 << 24)).is_cut_short);
    }

    /// Fails if comparing folders with patterns, or the search for a project, is not charged.
    #[test]
    fn comparing_and_searching_are_charged() {
        let folder = |number: usize| format!("libs/{}{number}", "long".repeat(25));
        let names: Vec<String> = (0..100).map(|number| format!("name{number}")).collect();
        let mut projects = vec![project("", "root", &["libs/*", "!libs/none"])];
        projects.extend(
            names.iter().enumerate().map(|(number, name)| project(&folder(number), name, &[])),
        );

        let budget = Budget::unlimited();
        let workspaces = Workspaces::of(&projects, &budget);
        let compared = budget.spent();
        // Each folder of 100 bytes is compared with two patterns.
        assert!(compared > 100 * 2 * 100, "{compared}");
        let file = format!("{}/x", folder(0));
        assert!(workspaces.has(Ecosystem::Npm, &file, "name7"));
        assert!(budget.spent() > compared, "the search was not charged");

        let used_up = Budget::limited_to(0);
        assert!(!Workspaces::of(&projects, &used_up).has(Ecosystem::Npm, &file, "name7"));
        // The comparisons fit into this budget, the search does not.
        let used_up = Budget::limited_to(compared);
        let workspaces = Workspaces::of(&projects, &used_up);
        assert!(!used_up.is_used_up());
        assert!(!workspaces.has(Ecosystem::Npm, &file, "name7") && used_up.is_used_up());
    }
}
