//! Workspaces: which requirements name a project of the same repository.
//!
//! Input: the name and the workspace members that each manifest declares; of cargo manifests only
//! whether they are a workspace, because cargo itself marks path dependencies. Output: whether a
//! requirement of a manifest is a project of its own workspace.
//!
//! Invariants: memory and time are bounded whatever the manifests declare; a requirement that is not
//! certainly a project of the repository stays a package.
//!
//! A project requires its neighbour as it requires any other package, by name and range; only the
//! workspace tells the two apart. Sources: npm's "Workspaces", Yarn's "Workspaces", pnpm's
//! "pnpm-workspace.yaml", Composer's "Repositories", section "Path".

use super::{budget::Budget, path::folder_of, purl::Ecosystem};
use crate::model::pattern::Pattern;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Patterns that are read of one manifest. Some workspaces list each of their folders.
const MAX_PATTERNS: usize = 1_000;
/// Comparisons of folders with patterns in one repository: at most a second of work.
const MAX_COMPARISONS: usize = 1_000_000;

/// The project that a manifest describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// The manifest's folder, from the root of the repository.
    folder: String,
    /// The purl type of the tool.
    ecosystem: &'static str,
    /// The project's purl without a version.
    name: Option<String>,
    /// The member folders of its workspace, from the root of the repository.
    members: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

impl Project {
    /// `members` are patterns of folders relative to the manifest's, with `*` and `**`. A pattern
    /// after `!` excludes folders.
    pub(super) fn new<'a>(
        file: &str,
        ecosystem: &'static str,
        name: Option<String>,
        members: impl Iterator<Item = &'a str>,
    ) -> Self {
        let folder = folder_of(file).to_owned();
        let mut project = Self { folder, ecosystem, name, ..Self::default() };
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
        self.ecosystem == ecosystem.as_str()
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
fn below(folder: &str, path: &str) -> Option<String> {
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

/// All workspaces of a repository.
pub(super) struct Workspaces<'a> {
    budget: &'a Budget,
    /// The names of the projects of each workspace.
    names: Vec<HashSet<&'a str>>,
    /// The indices of the workspaces that a folder belongs to, by ecosystem and folder.
    of_folder: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// Whether the limit of comparisons was reached.
    pub(super) is_cut_short: bool,
}

impl<'a> Workspaces<'a> {
    pub(super) fn of(projects: &'a [Project], budget: &'a Budget) -> Self {
        let mut by_folder: BTreeMap<(&str, &str), Vec<&Project>> = BTreeMap::new();
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
    pub(super) fn has(&self, ecosystem: &str, file: &str, name: &str) -> bool {
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
    by_folder: &BTreeMap<(&'a str, &'a str), Vec<&Project>>,
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
        Project::new(&format!("{folder}/x"), "npm", name, members.iter().copied())
    }

    /// Asserts whether the workspace has the project `a`, whose folder is `libs/a`.
    #[track_caller]
    fn check(members: &[&str], expected: bool) {
        let projects =
            [project("", "root", members), project("libs/a", "a", &[]), project("web", "w", &[])];
        let workspaces = Workspaces::of(&projects, Budget::alone(1 << 24));
        assert_eq!(workspaces.has("npm", "x", "a"), expected, "{members:?}");
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
        let has = |folder: &str, name| workspaces.has("npm", &format!("{folder}/x"), name);
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
        assert!(workspaces.has("npm", &file, "name7"));
        assert!(budget.spent() > compared, "the search was not charged");

        let used_up = Budget::limited_to(0);
        assert!(!Workspaces::of(&projects, &used_up).has("npm", &file, "name7"));
        // The comparisons fit into this budget, the search does not.
        let used_up = Budget::limited_to(compared);
        let workspaces = Workspaces::of(&projects, &used_up);
        assert!(!used_up.is_used_up());
        assert!(!workspaces.has("npm", &file, "name7") && used_up.is_used_up());
    }
}
