//! Projects of one repository that use each other.
//!
//! What flows in: what each manifest says of itself, its name and the folders of the projects that it
//! is worked on together with; of those of cargo only that they are workspaces, for cargo says itself
//! which packages are the repository's. What flows out: whether a package that a manifest asks for is such a
//! project. What must stay true: memory and time are bounded whatever the manifests say, and what
//! is not sure to be of the repository stays a package.
//!
//! A project asks for its neighbour as it does for any other package, by name and range; only the
//! workspace tells the two apart. Sources: npm's "Workspaces", Yarn's "Workspaces", pnpm's
//! "pnpm-workspace.yaml", Composer's "Repositories", section "Path".

use super::{budget::Budget, join::folder_of, purl::Ecosystem};
use crate::model::pattern::Pattern;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Of one manifest no more patterns are read. Some workspaces list each of their folders.
const MOST_PATTERNS: usize = 1_000;
/// Folders that are compared with patterns, in one repository: no more than a second's work.
const MOST_COMPARISONS: usize = 1_000_000;

/// What a manifest says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Where it lies, from the root of the repository.
    folder: String,
    /// Its tool, as an ecosystem.
    ecosystem: &'static str,
    /// Its purl without a version.
    name: Option<String>,
    /// The folders of its workspace, from the root of the repository.
    members: Vec<Pattern>,
    left_out: Vec<Pattern>,
}

impl Project {
    /// `members` are folders below that of the manifest or beside it, with `*` and `**`; those
    /// after a `!` are none.
    pub(super) fn new<'a>(
        file: &str,
        ecosystem: &'static str,
        name: Option<String>,
        members: impl Iterator<Item = &'a str>,
    ) -> Self {
        let folder = folder_of(file).to_owned();
        let mut project = Self { folder, ecosystem, name, ..Self::default() };
        for member in members.take(MOST_PATTERNS) {
            let (list, member) = match member.strip_prefix('!') {
                Some(member) => (&mut project.left_out, member),
                None => (&mut project.members, member),
            };
            list.extend(below(&project.folder, member).and_then(|it| it.parse().ok()));
        }
        project
    }

    /// Where it lies, from the root of the repository.
    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn is_of(&self, ecosystem: Ecosystem) -> bool {
        self.ecosystem == ecosystem.as_str()
    }

    /// The folders of its workspace, if it is one.
    #[cfg(test)]
    pub(super) fn shown_members(&self) -> Option<String> {
        let members = self.members.iter().map(ToString::to_string);
        let left_out = self.left_out.iter().map(|it| format!("!{it}"));
        let shown: Vec<_> = members.chain(left_out).collect();
        (!shown.is_empty()).then(|| shown.join(" "))
    }

    /// Bytes that it takes, about.
    pub(crate) fn size(&self) -> usize {
        let patterns = self.members.len() + self.left_out.len();
        self.folder.len() + self.name.as_ref().map_or(0, String::len) + patterns * 1_000
    }
}

/// A path from the root of the repository, of one from a folder; none if it leads out of it.
fn below(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
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
    /// The names of each workspace's projects.
    names: Vec<HashSet<&'a str>>,
    /// The workspaces that a folder is in, by ecosystem and folder.
    of_folder: HashMap<(&'a str, &'a str), Vec<usize>>,
    /// Whether there were more than could be compared.
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
                names.extend(of_folder.filter_map(|it| it.name.as_deref()));
                all.of_folder.entry(key).or_default().push(all.names.len());
            }
            all.names.push(names);
        }
        all.is_cut_short = comparisons > MOST_COMPARISONS;
        all
    }

    /// Whether what a manifest asks for by this name (a purl without a version) is a project of its
    /// own workspace.
    pub(super) fn has(&self, ecosystem: &str, file: &str, name: &str) -> bool {
        let key = (ecosystem, folder_of(file));
        let of_folder = self.of_folder.get(&key).into_iter().flatten();
        of_folder
            .take_while(|_| self.budget.read(8 + name.len()))
            .filter_map(|at| self.names.get(*at))
            .any(|names| names.contains(name))
    }
}

/// The folders with projects that a workspace's patterns stand for.
fn members<'a>(
    of: &'a Project,
    by_folder: &BTreeMap<(&'a str, &'a str), Vec<&Project>>,
    comparisons: &mut usize,
    budget: &Budget,
) -> Vec<&'a str> {
    let stands_for = |pattern: &Pattern, folder: &str| {
        // One without a slash would match the last part of any path too.
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
            *comparisons += 1 + of.left_out.len();
            let length = (pattern.as_str().len() + folder.len()) * (1 + of.left_out.len());
            if *comparisons > MOST_COMPARISONS || !budget.read(length) {
                return found;
            }
            let is_left_out = || of.left_out.iter().any(|it| stands_for(it, folder));
            if stands_for(pattern, folder) && !is_left_out() {
                found.push(*folder);
            }
        }
    }
    found
}

/// What every folder that the pattern stands for begins with.
fn fixed_part(pattern: &str) -> &str {
    let sign = pattern.find(['*', '?']).unwrap_or(pattern.len());
    let fixed = pattern.get(..sign).unwrap_or_default();
    // `a/**/b` stands for `a/b` too.
    fixed.strip_suffix('/').unwrap_or(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(folder: &str, name: &str, members: &[&str]) -> Project {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Project::new(&format!("{folder}/x"), "npm", name, members.iter().copied())
    }

    /// Whether the project in each folder knows `a`, which lies in `libs/a`, as its neighbour.
    #[track_caller]
    fn check(members: &[&str], expected: bool) {
        let projects =
            [project("", "root", members), project("libs/a", "a", &[]), project("web", "w", &[])];
        let workspaces = Workspaces::of(&projects, Budget::alone(1 << 24));
        assert_eq!(workspaces.has("npm", "x", "a"), expected, "{members:?}");
        assert!(!workspaces.is_cut_short);
    }

    #[test]
    fn patterns_stand_for_folders() {
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
    fn members_know_each_other_and_nobody_else_does() {
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
        // Of one workspace, though of another one as well.
        assert!(has("one/a", "two"));
    }

    #[test]
    fn many_workspaces_over_many_projects_are_cut_short() {
        let many = 1_100;
        let projects: Vec<_> =
            (0..many).map(|it| project(&format!("p/{it}"), "a", &["../**"])).collect();
        assert!(Workspaces::of(&projects, Budget::alone(1 << 24)).is_cut_short);
    }
    /// Breaks if the comparison of folders with patterns, or the search for a neighbour, costs nothing.
    #[test]
    fn comparing_and_searching_are_charged() {
        let folder = |it: usize| format!("libs/{}{it}", "long".repeat(25));
        let names: Vec<String> = (0..100).map(|it| format!("name{it}")).collect();
        let mut projects = vec![project("", "root", &["libs/*", "!libs/none"])];
        projects.extend(names.iter().enumerate().map(|(it, name)| project(&folder(it), name, &[])));

        let budget = Budget::unlimited();
        let workspaces = Workspaces::of(&projects, &budget);
        let compared = budget.spent();
        // Each folder of a hundred bytes with two patterns.
        assert!(compared > 100 * 2 * 100, "{compared}");
        let file = format!("{}/x", folder(0));
        assert!(workspaces.has("npm", &file, "name7"));
        assert!(budget.spent() > compared, "a search costs nothing");

        let used_up = Budget::limited_to(0);
        assert!(!Workspaces::of(&projects, &used_up).has("npm", &file, "name7"));
        // Compared while there was work left, and searched when there is none.
        let used_up = Budget::limited_to(compared);
        let workspaces = Workspaces::of(&projects, &used_up);
        assert!(!used_up.is_used_up());
        assert!(!workspaces.has("npm", &file, "name7") && used_up.is_used_up());
    }
}
