//! What a name stands for in a script, as far as the files of its build tell.
//!
//! What flows in: all files of a repository. What flows out: for a script, the text of a name, and
//! the entries of a version catalog. A script knows its own names first, then those of its folder
//! and the folders around it: of the build script there, of `gradle.properties`, then of
//! the other scripts, of `gradle/`, and of `buildSrc`.
//!
//! What must stay true: a name to which files of equal rank give two texts stands for neither; the
//! work for a name is bounded by the depth of the folder.

use super::script::{GradleFile, Library};
use crate::ecosystem::{
    budget::{Budget, NODE},
    expression,
    join::{folder_of, upwards},
    script::{Constants, Said, plain_name},
    source::file_name,
};
use std::collections::HashMap;

/// No script lies deeper below a file that concerns it.
const MAX_FOLDERS: usize = 32;

/// All files of a repository.
pub(super) struct Builds<'a> {
    folders: HashMap<&'a str, Folder<'a>>,
}

/// What the files of one folder say together.
#[derive(Default)]
struct Folder<'a> {
    /// The text of each name, and the rank of the file that it is from.
    names: HashMap<&'a str, (Said<'a>, u8)>,
    catalogs: HashMap<&'a str, &'a GradleFile>,
}

impl<'a> Builds<'a> {
    pub(super) fn of(files: &'a [GradleFile]) -> Self {
        let mut folders: HashMap<_, Folder<'_>> = HashMap::new();
        let mut by_rank: Vec<_> = files.iter().map(|it| (rank(&it.file), it)).collect();
        by_rank.sort_by_key(|it| it.0);
        for (rank, file) in by_rank {
            let folder = folders.entry(home(&file.file)).or_default();
            for (name, value) in file.constants.iter() {
                let known = folder.names.entry(name).or_insert((value, rank));
                if known.1 == rank && known.0 != value {
                    known.0 = Said::Several;
                }
            }
            if let Some(name) = file_name(&file.file).strip_suffix(".versions.toml") {
                folder.catalogs.entry(name).or_insert(file);
            }
        }
        Self { folders }
    }

    /// What names stand for in one of the files.
    pub(super) fn names<'b>(&'b self, of: &'b GradleFile, budget: &'b Budget) -> Names<'b> {
        let folders = upwards(home(&of.file)).take(MAX_FOLDERS);
        let around = folders.filter_map(|it| self.folders.get(it)).collect();
        Names { own: &of.constants, around, budget }
    }
}

/// What names stand for in one script.
pub(super) struct Names<'b> {
    own: &'b Constants,
    /// The folders around the script, from the nearest.
    around: Vec<&'b Folder<'b>>,
    /// Each name is looked up in each folder.
    budget: &'b Budget,
}

impl<'b> Names<'b> {
    /// Replaces the names in a text. The error is the first that is unknown.
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
        let around = self.around.iter().filter_map(|it| it.names.get(name.as_str()));
        let mut all = own.chain(around.map(|it| it.0));
        // `val x = property("x")` says nothing of its own.
        all.find(|it| it.text().is_none_or(|value| !is_reference_to(value, &name)))?.text()
    }

    /// The entries of a version catalog under a path: `libs.guava`, `libs.bundles.web`.
    pub(super) fn libraries(&self, path: &str) -> Option<&'b [Library]> {
        let (catalog, path) = path.split_once('.')?;
        let alias = accessor(path);
        self.around
            .iter()
            .find_map(|it| it.catalogs.get(catalog)?.catalog.get(&alias))
            .map(Vec::as_slice)
    }

    /// Whether a path begins with the name of a version catalog.
    pub(super) fn is_of_catalog(&self, path: &str) -> bool {
        let catalog = path.split('.').next().unwrap_or(path);
        catalog == "libs" || self.around.iter().any(|it| it.catalogs.contains_key(catalog))
    }
}

/// The path by which scripts name an entry of a catalog: dashes and underscores become dots. What
/// is found by its alias gives the same.
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

fn is_reference_to(value: &str, name: &str) -> bool {
    let inner = value.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
    inner.is_some_and(|it| plain_name(it) == name)
}

/// Which of the files of one folder counts first.
fn rank(path: &str) -> u8 {
    match file_name(path) {
        "build.gradle" | "build.gradle.kts" => 0,
        "gradle.properties" => 1,
        _ => 2,
    }
}

/// The folder whose builds a file concerns.
fn home(path: &str) -> &str {
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
    fn files_concern_the_folder_of_their_build() {
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
