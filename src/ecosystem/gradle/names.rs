//! Looks up names of Gradle scripts in the files of their build.
//!
//! Input: all files of a repository. Output: for a script, the value of a name, and the entries of a
//! version catalog. The script's own names come first, then those of its folder and the folders above: of
//! the build script there, of `gradle.properties`, then of the other scripts, of `gradle/`, and of
//! `buildSrc`.
//!
//! Invariants: a name with different values in files of equal rank has no value; the work for a name is
//! bounded by the depth of the folder.

use super::{
    catalog_parts::{Complete, Library},
    script::GradleFile,
};
use crate::ecosystem::{
    budget::{Budget, NODE},
    expression,
    path::file_name,
    path::{folder_of, upwards},
    script::{Constants, Definition, plain_name},
};
use std::collections::{HashMap, hash_map::Entry};

/// The number of folders above a script that are searched.
const MAX_FOLDERS: usize = 32;

/// All files of a repository.
pub(super) struct Builds<'a> {
    folders: HashMap<&'a str, Folder<'a>>,
}

/// The definitions of the files of one folder.
#[derive(Default)]
struct Folder<'a> {
    /// The value of each name, and the rank of its file.
    names: HashMap<&'a str, (Definition<'a>, u8)>,
    catalogs: HashMap<&'a str, &'a HashMap<String, Vec<Library>>>,
}

impl<'a> Builds<'a> {
    pub(super) fn of(files: &'a [GradleFile]) -> Self {
        let mut folders: HashMap<_, Folder<'_>> = HashMap::new();
        let mut by_rank: Vec<_> = files.iter().map(|file| (rank(&file.file), file)).collect();
        by_rank.sort_by_key(|ranked| ranked.0);
        for (rank, file) in by_rank {
            let folder = folders.entry(home(&file.file)).or_default();
            for (name, value) in file.constants.iter() {
                let known = folder.names.entry(name).or_insert((value, rank));
                if known.1 == rank && known.0 != value {
                    known.0 = Definition::Ambiguous;
                }
            }
        }
        Self { folders }
    }

    /// Adds the version catalogs. The first one of a name in a folder counts.
    pub(super) fn add(&mut self, catalogs: &'a [Complete]) {
        for catalog in catalogs {
            let folder = self.folders.entry(&catalog.folder).or_default();
            if let Entry::Vacant(vacant) = folder.catalogs.entry(&catalog.name) {
                vacant.insert(&catalog.entries);
                for (name, version) in catalog.constants.iter() {
                    folder.names.entry(name).or_insert((version, CATALOG));
                }
            }
        }
    }

    /// The names that apply to one of the files.
    pub(super) fn names<'b>(&'b self, of: &'b GradleFile, budget: &'b Budget) -> Names<'b> {
        let folders = upwards(home(&of.file)).take(MAX_FOLDERS);
        let around = folders.filter_map(|folder| self.folders.get(folder)).collect();
        Names { own: &of.constants, around, budget }
    }
}

/// The names that apply to one script.
pub(super) struct Names<'b> {
    own: &'b Constants,
    /// The folders, the nearest first.
    around: Vec<&'b Folder<'b>>,
    /// Charged for the lookup of each name in each folder.
    budget: &'b Budget,
}

impl<'b> Names<'b> {
    /// Expands the names in a text. The error is the first unknown name.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        expression::expand(text, &|name| self.get(name))
    }

    pub(super) fn get(&self, name: &str) -> Option<&'b str> {
        let lookups = NODE * (1 + self.around.len() as u64);
        if !self.budget.spend(lookups + name.len() as u64) {
            return None;
        }
        let name = plain_name(name);
        let own = self.own.look_up(&name).into_iter();
        let around = self.around.iter().filter_map(|folder| folder.names.get(name.as_str()));
        let mut all = own.chain(around.map(|constant| constant.0));
        // `val x = property("x")` defines no value, and `val x = findProperty("x") ?: "1"` the last one.
        let mut default = None;
        let found = all.find(|definition| {
            let own = definition.text().and_then(|value| reference_to(value, &name));
            default = default.or(own.filter(|default| !default.is_empty()));
            own.is_none()
        });
        match found {
            Some(found) => found.text(),
            None => default.or_else(|| self.part_of_library(&name)),
        }
    }

    /// A part of an entry of a catalog: `libs.guava.get().module`, `libs.guava.get().version`.
    fn part_of_library(&self, path: &str) -> Option<&'b str> {
        let (path, part) = path.rsplit_once('.')?;
        if !matches!(part, "module" | "group" | "name" | "version" | "getVersion")
            || !self.is_of_catalog(path)
        {
            return None;
        }
        let [library] = self.libraries(path)? else { return None };
        let (group, name) = library.name.split_once(':')?;
        match part {
            "module" => Some(&library.name),
            "group" => Some(group),
            "name" => Some(name),
            _ => library.version.as_deref(),
        }
    }

    /// The entries of a version catalog for a path: `libs.guava`, `libs.bundles.web`.
    pub(super) fn libraries(&self, path: &str) -> Option<&'b [Library]> {
        let (catalog, path) = of_root(path).split_once('.')?;
        let catalog = self.catalog(catalog);
        let alias = accessor(path);
        self.around
            .iter()
            .find_map(|folder| folder.catalogs.get(catalog)?.get(&alias))
            .map(Vec::as_slice)
    }

    /// The name of a catalog, which may have another name: `ext.libraries = libs`.
    fn catalog<'n>(&self, name: &'n str) -> &'n str
    where
        'b: 'n,
    {
        let own = self.own.look_up(name).into_iter();
        let around = self.around.iter().filter_map(|folder| folder.names.get(name));
        let value = own.chain(around.map(|constant| constant.0)).next().and_then(Definition::text);
        let other = value.and_then(|value| value.strip_prefix("${")?.strip_suffix('}'));
        other.filter(|other| !other.contains('.')).unwrap_or(name)
    }

    /// Whether a path begins with the name of a version catalog.
    pub(super) fn is_of_catalog(&self, path: &str) -> bool {
        let path = of_root(path);
        let catalog = self.catalog(path.split('.').next().unwrap_or(path));
        catalog == "libs" || self.around.iter().any(|folder| folder.catalogs.contains_key(catalog))
    }
}

/// A path without the project that it begins with: `rootProject.libs.guava`.
fn of_root(path: &str) -> &str {
    let inner = ["rootProject.", "project."].iter().find_map(|owner| path.strip_prefix(owner));
    inner.unwrap_or(path)
}

/// The path by which scripts name an entry of a catalog: dashes and underscores become dots. A lookup by
/// alias (`findLibrary`) gives the same path.
pub(super) fn accessor(alias: &str) -> String {
    const FINDERS: [(&str, &str); 3] =
        [("findLibrary['", ""), ("findPlugin['", "plugins."), ("findBundle['", "bundles.")];
    let found = FINDERS.iter().find_map(|(finder, prefix)| {
        let alias = alias.strip_prefix(finder)?.split('\'').next()?;
        Some(format!("{prefix}{alias}"))
    });
    let alias = found.as_deref().unwrap_or(alias);
    let alias = alias.trim_end_matches(".get").trim_end_matches(".asProvider");
    alias.replace(['-', '_'], ".")
}

/// If a value is the name itself, the default that it has then, or an empty text.
fn reference_to<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    let inner = value.strip_prefix("${")?.strip_suffix('}')?;
    let (inner, default) = inner.split_once("?:").unwrap_or((inner, ""));
    (plain_name(inner) == name).then_some(default)
}

/// The rank of the versions of catalogs.
const CATALOG: u8 = 3;

/// The precedence of a file within its folder; lower ranks win.
fn rank(path: &str) -> u8 {
    match file_name(path) {
        "build.gradle" | "build.gradle.kts" => 0,
        "gradle.properties" => 1,
        _ => 2,
    }
}

/// The folder of the build that a file belongs to.
pub(super) fn home(path: &str) -> &str {
    let folder = folder_of(path);
    if let Some((before, _)) = path.split_once("buildSrc/")
        && (before.is_empty() || before.ends_with('/'))
        && rank(path) == 2
    {
        return before.trim_end_matches('/');
    }
    match folder.rsplit_once('/') {
        _ if rank(path) == 0 => folder,
        Some((above, "gradle")) => above,
        None if folder == "gradle" => "",
        _ => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_folder_of_their_build() {
        for (path, folder) in [
            ("build.gradle", ""),
            ("gradle/libs.versions.toml", ""),
            ("a/gradle/x.gradle", "a"),
            ("a/buildSrc/src/main/kotlin/Deps.kt", "a"),
            ("buildSrc/src/main/kotlin/Deps.kt", ""),
            ("buildSrc/build.gradle", "buildSrc"),
            ("gradle/build.gradle", "gradle"),
            ("a/gradle.properties", "a"),
        ] {
            assert_eq!(home(path), folder, "{path}");
        }
    }

    #[test]
    fn aliases_become_paths() {
        assert_eq!(accessor("spring-boot_starter"), "spring.boot.starter");
        assert_eq!(accessor("guava.get"), "guava");
        assert_eq!(accessor("findLibrary['spring-core'].get"), "spring.core");
        assert_eq!(accessor("findPlugin['a-b']"), "plugins.a.b");
    }
}
