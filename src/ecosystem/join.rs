//! Combines the findings of all files of one repository.
//!
//! Input: the packages of all files in any order, the poms, `MSBuild` projects and Gradle builds, the
//! workspaces, and the imports of the sources. Output: all packages, sorted and without repeats. Lock
//! files get `direct` and `scope` from the manifests beside them; poms, projects and builds, which need
//! each other to know their versions, are resolved; imports that no file declares become packages.
//!
//! Invariants: the order of the input does not matter; what a file itself declares is never overwritten.

use super::{
    budget::Budget,
    cargo::INHERITED,
    dotnet::{self, MsBuild},
    gradle::{self, GradleFile},
    imports::Imports,
    maven::{self, Pom},
    path::{file_name, folder_of, upwards},
    purl::Ecosystem,
    workspace::{Project, Workspaces},
};
use crate::model::scan_result::{Package, Scope, Source, Warning};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The findings of all files of a repository that are not packages yet.
#[derive(Debug, Default)]
pub struct Gathered {
    pub poms: Vec<Pom>,
    pub builds: Vec<MsBuild>,
    pub gradle: Vec<GradleFile>,
    pub projects: Vec<Project>,
    pub imports: Imports,
    /// Bytes of all parsed files and of their paths. Determines the budget of [`join`].
    pub bytes: u64,
}

/// Completes, sorts and deduplicates the packages of a repository.
/// Returns a warning for each thing that no file of the repository defines.
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
    warnings.extend(drop_own_projects(packages, &projects, &budget));
    let manifests = Manifests::of(packages, &budget);
    for package in packages.iter_mut().filter(|package| package.source == Source::Lockfile) {
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

/// Drops requirements of manifests that name a project of the same workspace. Entries of lock files
/// stay, because a lock file itself states where each package comes from.
fn drop_own_projects(
    packages: &mut Vec<Package>,
    projects: &[Project],
    budget: &Budget,
) -> Option<Warning> {
    let workspaces = Workspaces::of(projects, budget);
    packages.retain(|package| {
        package.source != Source::Manifest
            || !workspaces.has(&package.ecosystem, &package.file, &canonical_name(package))
    });
    workspaces.is_cut_short.then(|| Warning {
        file: String::new(),
        line: None,
        message: "more projects and workspaces than are compared: some of the repository's own \
                  projects may be listed as packages"
            .to_owned(),
    })
}

/// Whether two packages of one file are equal in everything but the line.
fn is_repeat(later: &mut Package, first: &mut Package) -> bool {
    let line = std::mem::replace(&mut later.line, first.line);
    let same = later == first;
    later.line = line;
    same
}

/// The requirements of all manifests, by folder and ecosystem.
struct Manifests {
    /// The scope of each requirement, by its canonical name.
    by_folder: HashMap<Key, HashMap<String, Option<Scope>>>,
}

/// Folder, ecosystem, and the tool that a file belongs to.
type Key = (String, String, &'static str);

impl Manifests {
    fn of(packages: &[Package], budget: &Budget) -> Self {
        let locks: HashSet<(&str, &str)> = packages
            .iter()
            .filter(|package| package.source == Source::Lockfile)
            .map(|package| (folder_of(&package.file), package.ecosystem.as_str()))
            .collect();
        let mut by_folder: HashMap<_, HashMap<_, Option<Scope>>> = HashMap::new();
        // Cached, because many packages of a folder look for the same lock file.
        let mut nearest: HashMap<(&str, &str), &str> = HashMap::new();
        // A Perl manifest names modules; the distribution of a module cannot be derived from its name.
        let is_cpan = |package: &Package| package.ecosystem == Ecosystem::Cpan.as_str();
        for package in packages.iter().filter(|package| is_asked_for(package) && !is_cpan(package))
        {
            let own = folder_of(&package.file);
            // The members of a workspace share the lock file of the nearest folder above that has one.
            let shares = [Ecosystem::Cargo, Ecosystem::Npm, Ecosystem::Hex].map(Ecosystem::as_str);
            let folder = if shares.contains(&package.ecosystem.as_str()) {
                let ecosystem = package.ecosystem.as_str();
                *nearest.entry((own, ecosystem)).or_insert_with(|| {
                    let mut around =
                        upwards(own).take_while(|folder| budget.read(folder.len() + 1));
                    around.find(|folder| locks.contains(&(*folder, ecosystem))).unwrap_or(own)
                })
            } else {
                own
            };
            let declared = by_folder
                .entry(key(folder, package))
                .or_default()
                .entry(canonical_name(package))
                .or_default();
            *declared = Scope::stronger(*declared, package.scope);
        }
        Self { by_folder }
    }

    fn complete(&self, package: &mut Package) {
        let folder = folder_of(&package.file);
        // Vendored packages are in a folder below the manifest's.
        let folder = match folder.strip_suffix("vendor/composer") {
            Some(above) => above.trim_end_matches('/'),
            None if package.file.ends_with("vendor/modules.txt") => folder_of(folder),
            None => folder,
        };
        let Some(declared) = self.by_folder.get(&key(folder, package)) else {
            return;
        };
        let entry = declared.get(&canonical_name(package));
        // A Gradle build may declare a module in a catalog or in another project, so a module that is
        // missing here may still be direct.
        if entry.is_some() || !package.file.ends_with(".lockfile") {
            package.direct.get_or_insert(entry.is_some());
        }
        if package.scope.is_none() && package.direct == Some(true) {
            package.scope = entry.copied().flatten();
        }
    }
}

/// Whether a manifest declares the package as a requirement of its own project.
fn is_asked_for(package: &Package) -> bool {
    package.source == Source::Manifest && package.direct == Some(true)
}

fn key(folder: &str, package: &Package) -> Key {
    (folder.to_owned(), package.ecosystem.clone(), tool_of(file_name(&package.file)))
}

/// The tool that a file belongs to, where one folder may have files of several tools: a
/// `requirements.txt` beside a `poetry.lock` is often exported from it.
fn tool_of(file: &str) -> &'static str {
    match file {
        "Pipfile" | "Pipfile.lock" => "pipenv",
        "paket.dependencies" | "paket.lock" => "paket",
        "pyproject.toml" | "poetry.lock" | "uv.lock" => "pyproject",
        _ if file.starts_with("pdm.") || file.starts_with("pylock.") => "pyproject",
        _ => "",
    }
}

/// The purl without its version, which is equal for all spellings of a name. Every other `@`, `?` and
/// `#` in a purl is percent-encoded.
fn canonical_name(package: &Package) -> String {
    let purl = package.purl.as_str();
    let name = purl.split(['@', '?', '#']).next().unwrap_or(purl);
    // A purl keeps the case of a NuGet name, but NuGet ignores it.
    if package.ecosystem == Ecosystem::NuGet.as_str() {
        return name.to_ascii_lowercase();
    }
    name.to_owned()
}

/// Copies the versions of `workspace = true` requirements from the workspace's manifest.
///
/// A requirement that the workspace does not define as a package is defined by a path, so it is a
/// project of the repository: it is dropped.
fn inherit_from_workspaces(packages: &mut Vec<Package>, projects: &[Project], budget: &Budget) {
    let inherits = |package: &Package| package.specifier.as_deref() == Some(INHERITED);
    let is_cargo = |package: &Package| {
        package.source == Source::Manifest && package.ecosystem == Ecosystem::Cargo.as_str()
    };
    if !packages.iter().any(inherits) {
        return;
    }
    let mut defined: BTreeMap<(String, String), Package> = BTreeMap::new();
    let is_cargo_project = |project: &&Project| project.is_of(Ecosystem::Cargo);
    let workspaces: HashSet<&str> =
        projects.iter().filter(is_cargo_project).map(Project::folder).collect();
    for package in packages.iter().filter(|package| is_cargo(package) && package.scope.is_none()) {
        if !inherits(package) {
            let key = (folder_of(&package.file).to_owned(), package.name.clone());
            defined.entry(key).or_insert_with(|| package.clone());
        }
    }
    let defining: HashSet<String> = defined.keys().map(|key| key.0.clone()).collect();
    // By folder: the folders above that define packages, and whether one of them is a workspace.
    let mut around: HashMap<String, (Vec<String>, bool)> = HashMap::new();
    packages.retain_mut(|package| {
        if !(is_cargo(package) && inherits(package)) {
            return true;
        }
        let own = folder_of(&package.file);
        if !around.contains_key(own) {
            let folders: Vec<&str> =
                upwards(own).take_while(|folder| budget.read(2 * folder.len() + 1)).collect();
            let is_member = folders.iter().any(|folder| workspaces.contains(folder));
            let defining = folders.into_iter().filter(|folder| defining.contains(*folder));
            around.insert(own.to_owned(), (defining.map(str::to_owned).collect(), is_member));
        }
        let Some((folders, is_member)) = around.get(own) else { return true };
        let name = &package.name;
        let mut folders =
            folders.iter().take_while(|folder| budget.read(folder.len() + name.len()));
        let found = folders.find_map(|folder| defined.get(&(folder.clone(), name.clone())));
        let Some(found) = found else {
            // Without the workspace's manifest, the requirement may still be a package: keep it.
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

#[cfg(test)]
mod tests;
