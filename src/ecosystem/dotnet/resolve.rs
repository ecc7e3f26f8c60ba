//! Resolves the `MSBuild` files of a repository to packages.
//!
//! Input: all files. Output: the requirements of each project, with the version that the project states or
//! that is set for all projects below a folder; and the versions that are set this way. By "Central Package
//! Management" of `NuGet`'s manual and "Customize the build by folder" of `MSBuild`'s.
//!
//! Decisions. A file in an `Import` is not followed: a property or a version that neither the project nor
//! a folder above defines has the value that all other files agree on. Of several definitions in one file
//! the last wins; a conditional one counts only without another.
//!
//! Invariants: the order of the files does not matter; the work for a reference is bounded by the depth of
//! its folder.

use super::{
    exact,
    global_json::ProjectSdks,
    item::{Item, ItemKind},
    project::MsBuild,
};
use crate::ecosystem::{
    Budget, Findings, SourceFile,
    budget::NODE,
    collect::{Collector, Declared},
    expression,
    path::{folder_of, upwards},
    step::Joining,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::{HashMap, HashSet};

/// The number of folders above a project that are searched.
const MAX_FOLDERS: usize = 64;

/// Resolves the `MSBuild` files of one repository.
pub(in crate::ecosystem) fn resolve_projects(joining: &mut Joining<'_>) {
    let (builds, sdks): (_, Vec<ProjectSdks>) = (joining.facts.take(), joining.facts.take());
    let found = resolve(builds, &sdks, joining.budget);
    joining.add(found);
}

fn resolve(mut builds: Vec<MsBuild>, sdks: &[ProjectSdks], budget: &Budget) -> Findings {
    builds.sort_by(|a, b| a.file.cmp(&b.file));
    let repository = Repository::of(&builds, sdks);
    let mut all = Findings::default();
    for (at, build) in builds.iter().enumerate() {
        let file = SourceFile { path: &build.file, bytes: &[], budget };
        let mut found = Collector::new(file, Ecosystem::NuGet, Source::Manifest);
        let chain = repository.chain(at);
        // Each name and each property is looked up in each folder above.
        let lookups = chain.len() as u64 * NODE;
        for item in build.items.iter().take_while(|_| budget.spend(lookups)) {
            repository.add(build, item, &chain, &mut found);
        }
        let found = found.finish();
        all.packages.extend(found.packages);
        all.warnings.extend(found.warnings);
    }
    all
}

/// The definitions of a file, or of all files of a folder.
#[derive(Clone, Default)]
struct Definitions<'a> {
    properties: HashMap<&'a str, &'a str>,
    versions: HashMap<String, &'a str>,
    /// The packages that the file requires.
    references: HashSet<&'a str>,
}

/// The definitions that apply to a file, the nearest first.
type Chain<'r, 'a> = Vec<&'r Definitions<'a>>;

struct Repository<'a> {
    builds: &'a [MsBuild],
    definitions: Vec<Definitions<'a>>,
    /// The definitions of a folder that apply to all projects below it. Of several files the first by
    /// path wins.
    shared: HashMap<&'a str, Definitions<'a>>,
    /// The properties that have the same value in the whole repository; none for different values.
    agreed: HashMap<&'a str, Option<&'a str>>,
    agreed_versions: HashMap<String, Option<&'a str>>,
    /// The versions of project SDKs, by the folder of the `global.json`.
    sdks: HashMap<&'a str, &'a HashMap<String, String>>,
}

impl<'a> Repository<'a> {
    fn of(builds: &'a [MsBuild], sdks: &'a [ProjectSdks]) -> Self {
        let definitions: Vec<_> = builds.iter().map(Definitions::of).collect();
        let mut shared: HashMap<_, Definitions<'_>> = HashMap::new();
        for (build, own) in builds.iter().zip(&definitions).filter(|(build, _)| build.is_shared()) {
            shared.entry(folder_of(&build.file)).or_default().add(own);
        }
        let mut agreed: HashMap<&str, Option<&str>> = HashMap::new();
        for (name, value) in definitions.iter().flat_map(|definitions| &definitions.properties) {
            let known = agreed.entry(*name).or_insert(Some(*value));
            *known = known.filter(|known| known == value);
        }
        let mut agreed_versions: HashMap<String, Option<&str>> = HashMap::new();
        for (name, value) in definitions.iter().flat_map(|definitions| &definitions.versions) {
            let known = agreed_versions.entry(name.clone()).or_insert(Some(*value));
            *known = known.filter(|known| known == value);
        }
        let sdks = sdks.iter().map(|sdks| (sdks.folder.as_str(), &sdks.versions)).collect();
        Self { builds, definitions, shared, agreed, agreed_versions, sdks }
    }

    /// The definitions of a file and of the folders above, the nearest first.
    fn chain(&self, at: usize) -> Chain<'_, 'a> {
        let file = self.builds.get(at).map_or("", |build| build.file.as_str());
        let around = upwards(folder_of(file)).take(MAX_FOLDERS);
        self.definitions
            .get(at)
            .into_iter()
            .chain(around.filter_map(|folder| self.shared.get(folder)))
            .collect()
    }

    fn add(&self, build: &MsBuild, item: &Item, chain: &Chain<'_, 'a>, found: &mut Collector<'_>) {
        let Some(is_reference) = Self::is_reference(build, item, chain) else { return };
        let name = self.expanded(&item.name, chain).unwrap_or_else(|_| item.name.clone());
        let is_sdk = item.kind == ItemKind::Sdk;
        let stated = item.version.as_deref().or_else(|| {
            if is_sdk { self.sdk_version(&build.file, &name) } else { self.version(&name, chain) }
        });
        if is_sdk && stated.is_none() && comes_with_dotnet(&name) {
            return;
        }
        let version = stated.map(|text| self.expanded(text, chain));
        match &version {
            None if is_reference => found.defined_elsewhere(item.line, &name),
            Some(Err(unknown)) => {
                let (name, unknown) = (text::excerpt(&name), text::excerpt(unknown));
                let message =
                    format!("`{name}`: `{unknown}` has no single value in this repository");
                found.warn(item.line, message);
            }
            _ => {}
        }
        let known = version.as_ref().and_then(|text| text.as_deref().ok());
        let exact = known.and_then(exact);
        let specifier = if exact.is_none() { known.or(stated) } else { None };
        let of_project = if build.is_test { Scope::Test } else { Scope::Runtime };
        let direct = is_reference.then_some(true);
        let scope = item.scope.or(is_reference.then_some(of_project));
        let (name, line) = (name.as_str(), item.line);
        found.add(Declared { name, version: exact, specifier, line, direct, scope });
    }

    /// Whether an item requires the package (true) or only sets its version (false); none for neither.
    fn is_reference(build: &MsBuild, item: &Item, chain: &Chain<'_, '_>) -> Option<bool> {
        match item.kind {
            ItemKind::Reference | ItemKind::Sdk => Some(true),
            ItemKind::Version => Some(false),
            ItemKind::Update => {
                let own = chain.first()?;
                if item.version.is_none() || own.references.contains(item.name.as_str()) {
                    return None;
                }
                // In a project, `Update` changes a reference of the SDK (FSharp.Core); in a shared file,
                // it sets versions for all projects.
                Some(build.is_project())
            }
        }
    }

    /// The version that is set for a package in all projects here.
    fn version(&self, name: &str, chain: &Chain<'_, 'a>) -> Option<&'a str> {
        let name = name.to_ascii_lowercase();
        let near = chain.iter().find_map(|definitions| definitions.versions.get(&name).copied());
        near.or_else(|| self.agreed_versions.get(&name).copied().flatten())
    }

    /// The version of a project SDK in the nearest `global.json`.
    fn sdk_version(&self, file: &str, name: &str) -> Option<&'a str> {
        let mut around = upwards(folder_of(file)).take(MAX_FOLDERS);
        let nearest = around.find_map(|folder| self.sdks.get(folder).copied())?;
        nearest.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Expands the properties in a text. The error is the first unknown property.
    fn expanded(&self, text: &str, chain: &Chain<'_, 'a>) -> Result<String, String> {
        if !text.contains("$(") {
            return Ok(text.to_owned());
        }
        let lookup = |name: &str| {
            let name = name.to_ascii_lowercase();
            let near = chain
                .iter()
                .find_map(|definitions| definitions.properties.get(name.as_str()).copied());
            near.or_else(|| self.agreed.get(name.as_str()).copied().flatten())
        };
        expression::expand_between(["$(", ")"], text, &lookup)
    }
}

/// Whether an SDK is part of the .NET SDK, and has its version.
fn comes_with_dotnet(sdk: &str) -> bool {
    const PREFIX: &str = "microsoft.net.sdk";
    sdk.get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
}

impl<'a> Definitions<'a> {
    fn of(build: &'a MsBuild) -> Self {
        let mut properties = HashMap::new();
        for property in &build.properties {
            let (name, value) = (property.name.as_str(), property.value.as_str());
            if property.is_conditional {
                properties.entry(name).or_insert(value);
            } else {
                properties.insert(name, value);
            }
        }
        let mut versions = HashMap::new();
        let sets_version = |item: &&Item| !matches!(item.kind, ItemKind::Reference | ItemKind::Sdk);
        for item in build.items.iter().filter(sets_version) {
            if let Some(version) = item.version.as_deref() {
                versions.insert(item.name.to_ascii_lowercase(), version);
            }
        }
        let references = build.items.iter().filter(|item| item.kind == ItemKind::Reference);
        let references = references.map(|item| item.name.as_str()).collect();
        Self { properties, versions, references }
    }

    /// Adds the definitions of another file of the folder; existing ones win.
    fn add(&mut self, other: &Self) {
        for (name, value) in &other.properties {
            self.properties.entry(*name).or_insert(*value);
        }
        for (name, version) in &other.versions {
            self.versions.entry(name.clone()).or_insert(*version);
        }
    }
}

#[cfg(test)]
mod tests;
