//! The plugins that a repository builds, and the versions of those that it uses.
//!
//! Input: the files of the builds. Output: the markers of the repository's own plugins, which are no packages; for
//! a plugin without a version, the version that a script of the folder or of a folder above declares. Sources:
//! "Precompiled script plugins", "Creating a plugin ID" and "Applying plugins with the `plugins{}` block" of
//! Gradle's manual. Invariants: a plugin with different versions in one folder has no version there.

use super::{names::Builds, notation::Module, script::GradleFile, statement::NotationKind};
use crate::ecosystem::{
    budget::{Budget, NODE},
    path::{file_name, folder_of, upwards},
    script::{self, Tokens, plain_name},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// The number of folders above a script that are searched.
const MAX_FOLDERS: usize = 32;

/// The suffix of the artifact by which Gradle finds a plugin.
pub(super) const MARKER: &str = ".gradle.plugin";

/// The id of the plugin that a descriptor declares: `META-INF/gradle-plugins/com.example.tool.properties`.
pub(super) fn of_descriptor(path: &str) -> Option<&str> {
    let (_, name) = path.rsplit_once("META-INF/gradle-plugins/")?;
    name.strip_suffix(".properties").filter(|id| !id.is_empty())
}

/// The id of the plugin that a script among the sources is: the name of the file, in Kotlin behind its package.
pub(super) fn precompiled(path: &str, tokens: &Tokens<'_>) -> Option<String> {
    let is_source = path.starts_with("src/main/") || path.contains("/src/main/");
    let file = file_name(path);
    let name = file.strip_suffix(".gradle.kts").or_else(|| file.strip_suffix(".gradle"));
    let name = name.filter(|_| is_source)?;
    let name =
        name.strip_suffix(".settings").or_else(|| name.strip_suffix(".init")).unwrap_or(name);
    let begins = |at: usize| at.checked_sub(1).is_none_or(|before| tokens.ends_line(before));
    let package = (0..tokens.len()).find(|at| tokens.word(*at) == Some("package") && begins(*at));
    let package = package.and_then(|at| script::value(tokens, at + 1)).map(|(path, _)| path);
    let package = package.as_deref().and_then(|path| path.strip_prefix("${")?.strip_suffix('}'));
    Some(package.map_or_else(|| name.to_owned(), |package| format!("{package}.{name}")))
}

/// The plugins that the repository builds.
#[derive(Default)]
pub(super) struct Own {
    /// Their markers: `id:id.gradle.plugin`.
    markers: HashSet<String>,
    /// The entries of catalogs whose ids they have: `id = libs.plugins.tool.get().pluginId`.
    entries: HashSet<String>,
}

impl Own {
    pub(super) fn of(files: &[GradleFile], builds: &Builds<'_>, budget: &Budget) -> Self {
        let mut own = Self::default();
        for file in files.iter().filter(|file| !file.own_plugins.is_empty()) {
            let names = builds.names(file, budget);
            for id in &file.own_plugins {
                match (names.expand(id), NotationKind::of(id.clone())) {
                    (Ok(id), _) => drop(own.markers.insert(format!("{id}:{id}{MARKER}"))),
                    (_, NotationKind::Name(path)) => drop(own.entries.insert(plain_name(&path))),
                    _ => {}
                }
            }
        }
        own
    }

    pub(super) fn has(&self, marker: &str) -> bool {
        self.markers.contains(marker)
    }

    /// Records the marker of an entry of a catalog, if its id is that of one of the plugins.
    pub(super) fn see(&mut self, catalog: &str, path: &str, marker: &str) {
        if !self.entries.is_empty() && self.entries.contains(&format!("{catalog}.{path}")) {
            self.markers.insert(marker.to_owned());
        }
    }
}

/// The version or range of a plugin.
type Version = (Option<Arc<str>>, Option<Arc<str>>);

/// The declared versions of plugins, by folder and marker.
#[derive(Default)]
pub(super) struct Versions<'a> {
    by_folder: HashMap<&'a str, HashMap<Arc<str>, Option<Version>>>,
}

impl<'a> Versions<'a> {
    /// Records the version of a marker that a script requires.
    pub(super) fn see(&mut self, file: &'a str, module: &Module) {
        let has_version = module.version.is_some() || module.range.is_some();
        if has_version && module.name.ends_with(MARKER) {
            let version = (module.version.clone(), module.range.clone());
            let of_folder = self.by_folder.entry(folder_of(file)).or_default();
            let known = of_folder.entry(Arc::clone(&module.name));
            let known = known.or_insert_with(|| Some(version.clone()));
            if known.as_ref() != Some(&version) {
                *known = None;
            }
        }
    }

    /// The version of a marker for a script that declares none.
    pub(super) fn of(&self, file: &str, marker: &str, budget: &Budget) -> Option<&Version> {
        upwards(folder_of(file))
            .take(MAX_FOLDERS)
            .take_while(|_| budget.spend(NODE + marker.len() as u64))
            .find_map(|folder| self.by_folder.get(folder)?.get(marker))?
            .as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::Dialect;

    #[test]
    fn scripts_among_the_sources_are_plugins() {
        for (path, text, expected) in [
            ("buildSrc/src/main/kotlin/acme.java.gradle.kts", "plugins {}", Some("acme.java")),
            (
                "build-logic/src/main/kotlin/com/acme/java.gradle.kts",
                "@file:Suppress(\"x\")\n\npackage com.acme\n",
                Some("com.acme.java"),
            ),
            ("logic/src/main/groovy/acme.lint.gradle", "", Some("acme.lint")),
            ("src/main/kotlin/acme.settings.gradle.kts", "", Some("acme")),
            ("app/build.gradle.kts", "", None),
            ("gradle/lint.gradle", "", None),
        ] {
            let tokens = script::tokens(text, Dialect::Kotlin);
            assert_eq!(precompiled(path, &tokens).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn descriptors_name_plugins() {
        let folder = "plugin/src/main/resources/META-INF/gradle-plugins";
        assert_eq!(
            of_descriptor(&format!("{folder}/com.acme.tool.properties")),
            Some("com.acme.tool")
        );
        assert_eq!(of_descriptor("gradle/wrapper/gradle-wrapper.properties"), None);
    }
}
