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
    budget::Budget,
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
    /// Bytes of the files that were read, and of their paths: the measure of what joining may cost.
    pub bytes: u64,
}

/// Completes packages by what other files say of them, sorts them, and drops repeats.
/// Gives a warning for each thing that no file of the repository knows.
pub fn join(packages: &mut Vec<Package>, gathered: Gathered) -> Vec<Warning> {
    let Gathered { poms, builds, gradle, projects, imports, bytes } = gathered;
    let budget = Budget::of(bytes);
    let mut warnings = Vec::new();
    for found in [
        maven::resolve(poms, &budget),
        dotnet::resolve(builds, &budget),
        gradle::resolve(gradle, &budget),
    ] {
        packages.extend(found.packages);
        warnings.extend(found.warnings);
    }
    inherit_from_workspaces(packages, &projects, &budget);
    warnings.extend(drop_neighbours(packages, &projects, &budget));
    let manifests = Manifests::of(packages, &budget);
    for package in packages.iter_mut().filter(|it| it.source == Source::Lockfile) {
        manifests.complete(package);
    }
    let (imported, of_imports) = imports.resolve(packages);
    packages.extend(imported);
    warnings.extend(of_imports);
    packages.sort();
    packages.dedup_by(is_repeat);
    if budget.was_used_up() {
        warnings.push(Warning {
            file: String::new(),
            line: None,
            message: budget.message_of_all(),
        });
    }
    warnings
}

/// Drops what is asked for of the repository's own workspaces. A lock says itself where a package is
/// from, so what it lists stays.
fn drop_neighbours(
    packages: &mut Vec<Package>,
    projects: &[Project],
    budget: &Budget,
) -> Option<Warning> {
    let workspaces = Workspaces::of(projects, budget);
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
    fn of(packages: &[Package], budget: &Budget) -> Self {
        let locks: HashSet<(&str, &str)> = packages
            .iter()
            .filter(|it| it.source == Source::Lockfile)
            .map(|it| (folder_of(&it.file), it.ecosystem.as_str()))
            .collect();
        let mut by_folder: HashMap<_, HashMap<_, Option<Scope>>> = HashMap::new();
        // By folder and ecosystem: one folder may have many packages and many folders around it.
        let mut nearest: HashMap<(&str, &str), &str> = HashMap::new();
        // A manifest of Perl names modules, and only their names could tell the distributions.
        let is_cpan = |it: &Package| it.ecosystem == Ecosystem::Cpan.as_str();
        for package in packages.iter().filter(|it| is_asked_for(it) && !is_cpan(it)) {
            let own = folder_of(&package.file);
            // The members of a workspace share the lock of the nearest folder with one.
            let shares = [Ecosystem::Cargo, Ecosystem::Npm, Ecosystem::Hex].map(Ecosystem::as_str);
            let folder = if shares.contains(&package.ecosystem.as_str()) {
                let ecosystem = package.ecosystem.as_str();
                *nearest.entry((own, ecosystem)).or_insert_with(|| {
                    let mut around = upwards(own).take_while(|it| budget.read(it.len() + 1));
                    around.find(|it| locks.contains(&(*it, ecosystem))).unwrap_or(own)
                })
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
fn inherit_from_workspaces(packages: &mut Vec<Package>, projects: &[Project], budget: &Budget) {
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
    let defining: HashSet<String> = defined.keys().map(|it| it.0.clone()).collect();
    // By folder: those around it that define packages, and whether one is a workspace at all.
    let mut around: HashMap<String, (Vec<String>, bool)> = HashMap::new();
    packages.retain_mut(|package| {
        if !(is_cargo(package) && inherits(package)) {
            return true;
        }
        let own = folder_of(&package.file);
        if !around.contains_key(own) {
            let folders: Vec<&str> =
                upwards(own).take_while(|it| budget.read(2 * it.len() + 1)).collect();
            let is_member = folders.iter().any(|it| workspaces.contains(it));
            let defining = folders.into_iter().filter(|it| defining.contains(*it));
            around.insert(own.to_owned(), (defining.map(str::to_owned).collect(), is_member));
        }
        let Some((folders, is_member)) = around.get(own) else { return true };
        let name = &package.name;
        let mut folders = folders.iter().take_while(|it| budget.read(it.len() + name.len()));
        let found = folders.find_map(|folder| defined.get(&(folder.clone(), name.clone())));
        let Some(found) = found else {
            // Of a member without its workspace nobody knows more than the name.
            return !is_member;
        };
        let texts = [found.version.as_ref(), found.specifier.as_ref(), Some(&found.purl)];
        if !budget.copy(texts.into_iter().flatten().map(String::len).sum()) {
            return true;
        }
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
mod tests;
