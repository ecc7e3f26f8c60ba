//! Tells whether an import means a module of the repository itself.
//!
//! Input: the paths of all files, and the packages that the sources declare. Output: whether an import
//! belongs to the repository. Invariants: memory is bounded by the number of files, and a decision takes
//! as many steps as there are folders above the importing file.
//!
//! Decisions for Python. A module is searched in the folder of the importing file, in the folders above
//! that are not packages themselves, and in `src` of each. A folder without `__init__.py` is a module only
//! where the imported name exists in it: `alembic/env.py` imports the package alembic, not its own folder. A
//! top-level package outside of tests belongs to the repository wherever it is. A file never imports itself.

use super::{
    libraries::{Artifact, artifact, parts},
    location::is_test,
};
use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

/// Bytes of the recorded paths. A path of 4,096 bytes may add 60 folders, each with a path of its own;
/// usual paths add a hundred bytes each.
const MAX_BYTES: usize = 64 << 20;

/// The kind of a path without its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PathKind {
    /// A folder with modules in or below it.
    Folder,
    Module,
    /// A folder with an `__init__.py`.
    Package,
}

/// The Python modules of a repository.
#[derive(Debug, Default)]
pub(super) struct OwnModules {
    kinds: HashMap<String, PathKind>,
    /// The last segments of all paths. Other names are external.
    names: HashSet<String>,
    bytes: usize,
    top_level: OnceCell<HashSet<String>>,
}

impl OwnModules {
    /// Records a file, if it is a module.
    pub(super) fn see(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some((stem, extensions)) = name.split_once('.') else { return };
        let extension = extensions.rsplit('.').next().unwrap_or(extensions);
        if !matches!(extension, "py" | "pyw" | "pyi" | "pyx" | "so" | "pyd") {
            return;
        }
        for around in folders(folder) {
            // The folders above it are known too.
            if self.kinds.contains_key(around) {
                break;
            }
            self.put(around, PathKind::Folder);
        }
        if stem == "__init__" {
            self.put(folder, PathKind::Package);
        } else {
            self.put(&within(folder, stem), PathKind::Module);
        }
    }

    /// Whether there are too many modules to record.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    fn put(&mut self, path: &str, kind: PathKind) {
        if path.is_empty() || self.is_full() {
            return;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
        }
        if let Some(known) = self.kinds.get_mut(path) {
            *known = kind.max(*known);
        } else {
            self.bytes += path.len();
            self.kinds.insert(path.to_owned(), kind);
        }
    }

    /// Whether a file that imports this name means a module of the repository.
    pub(super) fn has(&self, name: &str, file: &str) -> bool {
        let mut segments = name.split('.');
        let (Some(top), next) = (segments.next(), segments.next()) else { return false };
        if !self.names.contains(top) {
            return false;
        }
        let own = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.top_level().contains(top)
            || folders(own)
                .chain([""])
                .filter(|folder| {
                    *folder == own || self.kinds.get(*folder) != Some(&PathKind::Package)
                })
                .any(|folder| {
                    self.is_in(folder, top, next, file)
                        || self.is_in(&within(folder, "src"), top, next, file)
                })
    }

    fn is_in(&self, folder: &str, top: &str, next: Option<&str>, file: &str) -> bool {
        let path = within(folder, top);
        match self.kinds.get(&path) {
            Some(PathKind::Package) => true,
            Some(PathKind::Module) => {
                file.strip_prefix(&path).is_none_or(|rest| !rest.starts_with('.'))
            }
            Some(PathKind::Folder) => {
                next.is_some_and(|next| self.kinds.contains_key(&within(&path, next)))
            }
            None => false,
        }
    }

    fn top_level(&self) -> &HashSet<String> {
        self.top_level.get_or_init(|| {
            let is_package = |path: &str| self.kinds.get(path) == Some(&PathKind::Package);
            let top = |path: &String| {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let is_top = is_package(path) && !is_package(folder) && !is_test(path);
                is_top.then(|| name.to_owned())
            };
            self.kinds.keys().filter_map(top).collect()
        })
    }
}

/// A folder and the folders above it, without the root.
fn folders(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |path| path.rsplit_once('/').map(|(around, _)| around))
        .filter(|folder| !folder.is_empty())
}

fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The packages of the JVM that the repository's sources declare.
#[derive(Debug, Default)]
pub(super) struct OwnPackages {
    packages: HashSet<String>,
    /// The number of sources by the first three segments of their package.
    roots: HashMap<String, usize>,
    sources: usize,
}

impl OwnPackages {
    pub(super) fn add(&mut self, package: String) {
        *self.roots.entry(root_of(&package).to_owned()).or_default() += 1;
        self.sources += 1;
        self.packages.insert(package);
    }

    /// Whether a package belongs to the repository: it is declared, is below a declared one, or shares its
    /// first three segments. A few sources in the package of a known library do not count: projects do
    /// this to access package-private parts of a library.
    pub(super) fn has(&self, package: &str) -> bool {
        let root = root_of(package);
        let of_root = self.roots.get(root).copied().unwrap_or(0);
        let is_known = matches!(artifact(root), Artifact::Library(_));
        (of_root > 0 && (!is_known || of_root * 10 >= self.sources))
            || parts(package)
                .any(|package| self.packages.contains(package) && package.contains('.'))
            || (!package.contains('.') && self.packages.contains(package))
    }
}

/// The first three segments.
fn root_of(package: &str) -> &str {
    let end = package.match_indices('.').nth(2).map_or(package.len(), |(at, _)| at);
    package.get(..end).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(paths: &[&str]) -> OwnModules {
        let mut modules = OwnModules::default();
        for path in paths {
            modules.see(path);
        }
        modules
    }

    #[test]
    fn modules_are_searched_as_python_does() {
        let modules = modules(&[
            "app/__init__.py",
            "app/clients/__init__.py",
            "app/clients/redis.py",
            "app/clients/cache.py",
            "alembic/env.py",
            "alembic/versions/one.py",
            "libs/tool/src/tool/__init__.py",
            "scripts/run.py",
            "scripts/helpers.py",
            "src/speed.cpython-313-x86_64-linux-gnu.so",
            "tests/flask/__init__.py",
            "README.md",
        ]);
        for (name, file, expected) in [
            ("app.clients", "scripts/run.py", true),
            ("tool", "app/clients/cache.py", true),
            ("helpers", "scripts/run.py", true),
            ("helpers", "app/clients/cache.py", false),
            ("speed", "app/clients/cache.py", true),
            ("redis", "app/clients/redis.py", false),
            ("redis", "scripts/run.py", false),
            ("alembic.context", "alembic/env.py", false),
            ("alembic", "alembic/env.py", false),
            ("alembic.versions", "alembic/env.py", true),
            ("flask", "app/clients/cache.py", false),
            ("flask", "tests/test_it.py", true),
            ("README", "app/clients/cache.py", false),
            ("numpy", "scripts/run.py", false),
        ] {
            assert_eq!(modules.has(name, file), expected, "{name} in {file}");
        }
    }

    #[test]
    fn packages_share_their_first_segments() {
        let mut packages = OwnPackages::default();
        for _ in 0..30 {
            packages.add("com.acme.shop.core".to_owned());
        }
        packages.add("org.apache.spark.sql.acme".to_owned());
        packages.add("tools".to_owned());
        for (package, expected) in [
            ("com.acme.shop.web", true),
            ("com.acme.shop", true),
            ("com.acme.billing", false),
            ("com.acme", false),
            ("org.apache.spark.sql", false),
            ("org.apache.spark.sql.acme.inner", true),
            ("tools", true),
            ("tools.nsc", false),
        ] {
            assert_eq!(packages.has(package), expected, "{package}");
        }
    }
}
