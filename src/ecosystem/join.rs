//! What the files of one repository say together.
//!
//! What flows in: the packages of all its files, in any order, its poms, projects of `MSBuild` and
//! builds of Gradle, and what its sources import. What flows out: the same packages, sorted, where lock files know
//! from the manifests beside them what is direct and what for; the packages of the poms,
//! projects and builds, which need each other to know their versions; and what is imported and declared
//! nowhere.
//!
//! What must stay true: the order of the input does not matter; what a file says itself is never
//! overwritten.

use super::{
    cargo::INHERITED,
    dotnet::{self, MsBuild},
    gradle::{self, GradleFile},
    imports::Imports,
    maven::{self, Pom},
    purl::Ecosystem,
    source::file_name,
    workspace::{Project, Workspaces},
};
use crate::model::scan_result::{Package, Scope, Source, Warning};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the files of a repository say that is no package by itself.
#[derive(Debug, Default)]
pub struct Gathered {
    pub poms: Vec<Pom>,
    pub builds: Vec<MsBuild>,
    pub gradle: Vec<GradleFile>,
    pub projects: Vec<Project>,
    pub imports: Imports,
}

/// Completes packages by what other files say of them, sorts them, and drops repeats.
/// Gives a warning for each thing that no file of the repository knows.
pub fn join(packages: &mut Vec<Package>, gathered: Gathered) -> Vec<Warning> {
    let Gathered { poms, builds, gradle, projects, imports } = gathered;
    let mut warnings = Vec::new();
    for found in [maven::resolve(poms), dotnet::resolve(builds), gradle::resolve(gradle)] {
        packages.extend(found.packages);
        warnings.extend(found.warnings);
    }
    inherit_from_workspaces(packages, &projects);
    warnings.extend(drop_neighbours(packages, &projects));
    let manifests = Manifests::of(packages);
    for package in packages.iter_mut().filter(|it| it.source == Source::Lockfile) {
        manifests.complete(package);
    }
    let (imported, of_imports) = imports.resolve(packages);
    packages.extend(imported);
    warnings.extend(of_imports);
    packages.sort();
    packages.dedup_by(is_repeat);
    warnings
}

/// Drops what is asked for of the repository's own workspaces. A lock says itself where a package is
/// from, so what it lists stays.
fn drop_neighbours(packages: &mut Vec<Package>, projects: &[Project]) -> Option<Warning> {
    let workspaces = Workspaces::of(projects);
    packages.retain(|it| {
        it.source != Source::Manifest
            || !workspaces.has(&it.ecosystem, &it.file, &canonical_name(it))
    });
    workspaces.is_cut_short.then(|| Warning {
        file: String::new(),
        line: None,
        message: "more projects and workspaces than are compared: some of the repository's own \
                  projects may be listed as packages"
            .to_owned(),
    })
}

/// Whether a package is one that the same file has said in all the same words on a line before.
fn is_repeat(later: &mut Package, first: &mut Package) -> bool {
    let line = std::mem::replace(&mut later.line, first.line);
    let same = later == first;
    later.line = line;
    same
}

/// What the manifests of each folder declare: folder, ecosystem, canonical name.
struct Manifests {
    by_folder: HashMap<Key, HashMap<String, Option<Scope>>>,
}

/// Folder, ecosystem, and which of the tools of one ecosystem a file belongs to.
type Key = (String, String, &'static str);

impl Manifests {
    fn of(packages: &[Package]) -> Self {
        let locks: HashSet<(&str, &str)> = packages
            .iter()
            .filter(|it| it.source == Source::Lockfile)
            .map(|it| (folder_of(&it.file), it.ecosystem.as_str()))
            .collect();
        let mut by_folder: HashMap<_, HashMap<_, Option<Scope>>> = HashMap::new();
        // A manifest of Perl names modules, and only their names could tell the distributions.
        let is_cpan = |it: &Package| it.ecosystem == Ecosystem::Cpan.as_str();
        for package in packages.iter().filter(|it| is_asked_for(it) && !is_cpan(it)) {
            let own = folder_of(&package.file);
            // The members of a workspace share the lock of the nearest folder with one.
            let shares = [Ecosystem::Cargo, Ecosystem::Npm, Ecosystem::Hex].map(Ecosystem::as_str);
            let folder = if shares.contains(&package.ecosystem.as_str()) {
                upwards(own).find(|it| locks.contains(&(*it, &package.ecosystem))).unwrap_or(own)
            } else {
                own
            };
            let declared = by_folder
                .entry(key(folder, package))
                .or_default()
                .entry(canonical_name(package))
                .or_default();
            *declared = stronger(*declared, package.scope);
        }
        Self { by_folder }
    }

    fn complete(&self, package: &mut Package) {
        let folder = folder_of(&package.file);
        // What is vendored stands in a folder of its own.
        let folder = match folder.strip_suffix("vendor/composer") {
            Some(above) => above.trim_end_matches('/'),
            None if package.file.ends_with("vendor/modules.txt") => folder_of(folder),
            None => folder,
        };
        let Some(declared) = self.by_folder.get(&key(folder, package)) else {
            return;
        };
        let entry = declared.get(&canonical_name(package));
        // A build of Gradle may name its modules in a catalog, or for all projects at once.
        if entry.is_some() || !package.file.ends_with(".lockfile") {
            package.direct.get_or_insert(entry.is_some());
        }
        if package.scope.is_none() && package.direct == Some(true) {
            package.scope = entry.copied().flatten();
        }
    }
}

/// Whether a manifest has a package because the project itself asks for it.
fn is_asked_for(package: &Package) -> bool {
    package.source == Source::Manifest && package.direct == Some(true)
}

fn key(folder: &str, package: &Package) -> Key {
    (folder.to_owned(), package.ecosystem.clone(), tool_of(file_name(&package.file)))
}

/// The tool whose manifest a lock belongs to, where one folder may have those of several: what
/// `requirements.txt` lists beside a `poetry.lock` is often an export of it.
fn tool_of(file: &str) -> &'static str {
    match file {
        "Pipfile" | "Pipfile.lock" => "pipenv",
        "paket.dependencies" | "paket.lock" => "paket",
        "pyproject.toml" | "poetry.lock" | "uv.lock" => "pyproject",
        _ if file.starts_with("pdm.") || file.starts_with("pylock.") => "pyproject",
        _ => "",
    }
}

/// Of the scopes under which a project asks for one package, the one that needs it most.
pub(super) fn stronger(a: Option<Scope>, b: Option<Scope>) -> Option<Scope> {
    let rank = |scope: Scope| match scope {
        Scope::Runtime => 0,
        Scope::Peer => 1,
        Scope::Optional => 2,
        Scope::Build => 3,
        Scope::Test => 4,
        Scope::Dev => 5,
    };
    [a, b].into_iter().flatten().min_by_key(|it| rank(*it))
}

/// The purl up to its version: one for all spellings of a name. Every other `@`, `?` and `#` in a
/// purl is percent-encoded.
fn canonical_name(package: &Package) -> String {
    let purl = package.purl.as_str();
    let name = purl.split(['@', '?', '#']).next().unwrap_or(purl);
    // A purl leaves the letters of NuGet as they are, but to NuGet all their cases are one name.
    if package.ecosystem == Ecosystem::NuGet.as_str() {
        return name.to_ascii_lowercase();
    }
    name.to_owned()
}

/// Gives members of cargo workspaces the versions that the workspace's manifest defines.
///
/// What it does not define as a package, it defines by a path: that is no package of the
/// member's either.
fn inherit_from_workspaces(packages: &mut Vec<Package>, projects: &[Project]) {
    let inherits = |it: &Package| it.specifier.as_deref() == Some(INHERITED);
    let is_cargo =
        |it: &Package| it.source == Source::Manifest && it.ecosystem == Ecosystem::Cargo.as_str();
    if !packages.iter().any(inherits) {
        return;
    }
    let mut defined: BTreeMap<(String, String), Package> = BTreeMap::new();
    let is_cargo_project = |it: &&Project| it.is_of(Ecosystem::Cargo);
    let workspaces: HashSet<&str> =
        projects.iter().filter(is_cargo_project).map(Project::folder).collect();
    for package in packages.iter().filter(|it| is_cargo(it) && it.scope.is_none()) {
        if !inherits(package) {
            let key = (folder_of(&package.file).to_owned(), package.name.clone());
            defined.entry(key).or_insert_with(|| package.clone());
        }
    }
    packages.retain_mut(|package| {
        if !(is_cargo(package) && inherits(package)) {
            return true;
        }
        let name = &package.name;
        let found = upwards(folder_of(&package.file))
            .find_map(|folder| defined.get(&(folder.to_owned(), name.clone())));
        let Some(found) = found else {
            // Of a member without its workspace nobody knows more than the name.
            return !upwards(folder_of(&package.file)).any(|it| workspaces.contains(it));
        };
        package.version.clone_from(&found.version);
        package.specifier.clone_from(&found.specifier);
        package.purl.clone_from(&found.purl);
        true
    });
}

/// The path of the folder that a file is in; empty at the root.
pub(super) fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder, and the folders around it up to the root.
pub(super) fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |it| {
        (!it.is_empty()).then(|| it.rsplit_once('/').map_or("", |(parent, _)| parent))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{SourceFile, check::read_alone, parser_for};

    /// Parses the files, joins what they hold, and shows one package a line.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &str) {
        let (mut packages, mut projects) = (Vec::new(), Vec::new());
        for (path, text) in files {
            let file = SourceFile { path, bytes: text.as_bytes() };
            let findings = read_alone(parser_for(path).unwrap(), file);
            packages.extend(findings.packages);
            projects.extend(findings.project.map(|it| *it));
        }
        let mut reversed: Vec<_> = packages.iter().rev().cloned().collect();
        let backwards = projects.iter().rev().cloned().collect();
        join(&mut packages, Gathered { projects, ..Gathered::default() });
        join(&mut reversed, Gathered { projects: backwards, ..Gathered::default() });
        assert_eq!(packages, reversed);
        let shown: Vec<_> = packages
            .iter()
            .map(|it| {
                let version = it.version.as_deref().or(it.specifier.as_deref()).unwrap_or("-");
                let direct = it.direct.map_or("-", |it| if it { "direct" } else { "transitive" });
                let scope = it.scope.map_or("-", Scope::as_str);
                format!("{} {version} {direct} {scope} {}", it.name, it.file)
            })
            .collect();
        assert_eq!(shown.join("\n"), expected);
    }

    #[test]
    fn an_old_npm_lock_learns_what_is_direct() {
        check(
            &[
                (
                    "a/package-lock.json",
                    r#"{"lockfileVersion": 1, "dependencies": {"x": {"version": "1.0.0", "dependencies": {"y": {"version": "2.0.0"}}}, "y": {"version": "1.0.0"}}}"#,
                ),
                ("a/package.json", r#"{"dependencies": {"x": "^1"}}"#),
                ("package.json", r#"{"dependencies": {"y": "^1"}}"#),
            ],
            "x - direct runtime a/package.json\n\
             x 1.0.0 direct runtime a/package-lock.json\n\
             y - direct runtime package.json\n\
             y 1.0.0 transitive runtime a/package-lock.json\n\
             y 2.0.0 transitive runtime a/package-lock.json"
                .replace("x - ", "x ^1 ")
                .replace("y - ", "y ^1 ")
                .as_str(),
        );
    }

    #[test]
    fn a_yarn_lock_learns_from_all_members() {
        check(
            &[
                (
                    "yarn.lock",
                    "x@^1:\n  version \"1.1.0\"\n\"y@npm:z@^2\":\n  version \"2.0.0\"\nw@1:\n  version \"1.0.0\"\n",
                ),
                ("package.json", r#"{"devDependencies": {"x": "1.1.0"}}"#),
                ("own/package.json", r#"{"dependencies": {"y": "npm:z@2.0.0"}}"#),
            ],
            "w 1.0.0 transitive - yarn.lock\n\
             x 1.1.0 direct dev package.json\n\
             x 1.1.0 direct dev yarn.lock\n\
             z 2.0.0 direct runtime own/package.json\n\
             z 2.0.0 direct runtime yarn.lock",
        );
    }

    /// Breaks if a project of the repository's own is a package where its neighbour asks for it by
    /// name, or is none where a lock says that it is from elsewhere.
    #[test]
    fn neighbours_in_a_workspace_are_no_packages() {
        let left =
            ("libs/left/package.json", r#"{"name": "@o/Left", "dependencies": {"w": "^1"}}"#);
        let right =
            ("libs/right/package.json", r#"{"name": "right", "dependencies": {"@o/left": "^1"}}"#);
        let apart = ("else/package.json", r#"{"dependencies": {"right": "^2"}}"#);
        let expected = "right ^2 direct runtime else/package.json\n\
                        w ^1 direct runtime libs/left/package.json";
        for (path, text) in [
            ("package.json", r#"{"workspaces": ["libs/*"], "dependencies": {"right": "*"}}"#),
            ("package.json", r#"{"workspaces": {"packages": ["libs/*"]}}"#),
            ("pnpm-workspace.yaml", "packages:\n  - libs/**\n  - '!libs/test'\n"),
            ("lerna.json", r#"{"packages": ["libs/left", "libs/right"]}"#),
        ] {
            check(&[(path, text), left, right, apart], expected);
        }
        let lock = (
            "yarn.lock",
            "\"@o/left@^1\":\n  version \"1.1.0\"\n  resolved \"https://r/l.tgz\"\nw@^1:\n  version \"1.0.0\"\n",
        );
        check(
            &[("package.json", r#"{"workspaces": ["libs/*"]}"#), left, right, lock],
            "@o/left 1.1.0 transitive - yarn.lock\n\
             w ^1 direct runtime libs/left/package.json\n\
             w 1.0.0 direct runtime yarn.lock",
        );
    }

    #[test]
    fn packages_from_paths_of_the_repository_are_none() {
        check(
            &[
                (
                    "apps/web/composer.json",
                    r#"{"require": {"o/a": "*", "o/b": "*"}, "repositories": [{"type": "path", "url": "../../libs/*"}]}"#,
                ),
                (
                    "apps/api/composer.json",
                    r#"{"require": {"o/a": "*"}, "repositories": {"x": {"type": "vcs", "url": "../../libs/*"}}}"#,
                ),
                ("libs/a/composer.json", r#"{"name": "O/A"}"#),
            ],
            "o/a * direct runtime apps/api/composer.json\n\
             o/b * direct runtime apps/web/composer.json",
        );
    }

    #[test]
    fn members_inherit_from_their_workspace() {
        check(
            &[
                (
                    "Cargo.toml",
                    "[workspace.dependencies]\nserde = '=1.0.1'\nown = { path = 'own' }\n",
                ),
                (
                    "own/Cargo.toml",
                    "[dev-dependencies]\nserde.workspace = true\nown.workspace = true\n",
                ),
                (
                    "Cargo.lock",
                    "[[package]]\nname = 'own'\nversion = '1.0.0'\ndependencies = ['serde']\n[[package]]\nname = 'serde'\nversion = '1.0.1'\nsource = 'registry+x'\n",
                ),
            ],
            "serde 1.0.1 direct dev Cargo.lock\n\
             serde 1.0.1 direct - Cargo.toml\n\
             serde 1.0.1 direct dev own/Cargo.toml",
        );
    }

    /// Breaks if a workspace's own crates are packages because it defines no others.
    #[test]
    fn crates_of_a_workspace_of_nothing_else_are_none() {
        check(
            &[
                ("Cargo.toml", "[workspace]\n[workspace.dependencies]\na = { path = 'a' }\n"),
                ("b/Cargo.toml", "[dependencies]\na.workspace = true\n"),
            ],
            "",
        );
    }

    #[test]
    fn a_member_without_its_workspace_keeps_the_names() {
        check(
            &[("own/Cargo.toml", "[dependencies]\nserde.workspace = true\n")],
            "serde workspace = true direct runtime own/Cargo.toml",
        );
    }

    #[test]
    fn names_of_nuget_have_no_case() {
        check(
            &[
                ("paket.dependencies", "nuget Xunit 2.4.1\n"),
                ("paket.lock", "NUGET\n  remote: https://x\n    xunit (2.4.1)\n"),
            ],
            "Xunit 2.4.1 direct runtime paket.dependencies\n\
             xunit 2.4.1 direct runtime paket.lock",
        );
    }

    /// Breaks if a lock learns from the manifest of another tool.
    #[test]
    fn a_lock_learns_from_the_manifest_of_its_tool_alone() {
        check(
            &[
                (
                    "poetry.lock",
                    "[[package]]\nname = 'A.b'\nversion = '1'\n[[package]]\nname = 'c'\nversion = '2'\n",
                ),
                ("pyproject.toml", "[tool.poetry.group.dev.dependencies]\na-b = '^1'\n"),
                ("requirements.txt", "c==2\n"),
            ],
            "A.b 1 direct dev poetry.lock\n\
             a-b ^1 direct dev pyproject.toml\n\
             c 2 transitive - poetry.lock\n\
             c 2 direct runtime requirements.txt",
        );
    }

    #[test]
    fn names_are_compared_as_their_ecosystem_does() {
        check(
            &[
                ("composer.json", r#"{"require": {"Psr/Log": "^3"}}"#),
                ("composer.lock", r#"{"packages": [{"name": "psr/log", "version": "3.0.0"}]}"#),
            ],
            "Psr/Log ^3 direct runtime composer.json\n\
             psr/log 3.0.0 direct runtime composer.lock",
        );
    }

    /// Breaks if what go.mod marks as indirect is taken for asked for, or the folder of what is
    /// vendored for a project.
    #[test]
    fn what_is_vendored_learns_from_the_folder_above() {
        check(
            &[
                ("go.mod", "module m\nrequire (\na.b/c v1.0.0\nd.e/f v1.0.0 // indirect\n)\n"),
                ("vendor/modules.txt", "# a.b/c v1.0.0\n## explicit\n# d.e/f v1.0.0\n"),
            ],
            "a.b/c v1.0.0 direct - go.mod\n\
             a.b/c v1.0.0 direct - vendor/modules.txt\n\
             d.e/f v1.0.0 transitive - go.mod\n\
             d.e/f v1.0.0 transitive - vendor/modules.txt",
        );
    }

    #[test]
    fn a_lock_of_gradle_learns_only_what_is_direct() {
        check(
            &[
                ("gradle.lockfile", "g:a:1=runtimeClasspath\ng:b:1=runtimeClasspath\n"),
                ("build.gradle", "dependencies {\nimplementation 'g:a:1'\n}\n"),
            ],
            "g:a 1 direct runtime build.gradle\n\
             g:a 1 direct runtime gradle.lockfile\n\
             g:b 1 - runtime gradle.lockfile",
        );
    }

    #[test]
    fn repeats_are_dropped() {
        let file = SourceFile { path: "requirements.txt", bytes: b"a\nb\na" };
        let mut packages = parser_for(file.path).unwrap().parse(file).packages;
        packages.extend(packages.clone());
        join(&mut packages, Gathered::default());
        let lines: Vec<_> = packages.iter().filter_map(|it| it.line).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn folders_lead_to_the_root() {
        assert_eq!(upwards("a/b").collect::<Vec<_>>(), ["a/b", "a", ""]);
        assert_eq!(upwards("").collect::<Vec<_>>(), [""]);
    }
}
