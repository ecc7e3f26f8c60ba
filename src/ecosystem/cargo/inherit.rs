//! Versions that the members of a cargo workspace inherit, by "Inheriting a dependency from a workspace" of
//! the Cargo Book.
//!
//! Input: the packages and projects of a repository. Output: the same packages, with the version and purl
//! that the workspace's manifest defines for each `workspace = true` requirement. Invariants: a requirement
//! that the workspace does not define as a package is defined by a path, so it is a project of the
//! repository and is dropped; without the workspace's manifest it is kept.

use super::manifest::INHERITED;
use crate::ecosystem::{
    path::{folder_of, upwards},
    project::Project,
    step::Joining,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Package, Source},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Copies the versions of `workspace = true` requirements from the workspace's manifest.
pub(in crate::ecosystem) fn inherit_versions(joining: &mut Joining<'_>) {
    let Joining { packages, projects, budget, .. } = joining;
    let inherits = |package: &Package| package.specifier.as_deref() == Some(INHERITED);
    let is_cargo = |package: &Package| {
        package.source == Source::Manifest && package.ecosystem == Ecosystem::Cargo
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
