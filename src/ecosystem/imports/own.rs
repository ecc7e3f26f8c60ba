//! What belongs to the repository itself.
//!
//! What flows in: the paths of its files, and the packages that its sources say they are in. What
//! flows out: whether an import means one of them. What must stay true: memory is bounded by the
//! number of files, and an import is decided in as many steps as there are folders around it.
//!
//! Decisions for Python. The folders in which a module is looked for are that of the importing
//! file, those around it which are no packages themselves, and `src` in each. A folder without
//! `__init__.py` is a module only where what is imported from it is there too: `alembic/env.py`
//! imports the package alembic, not its own folder. A package that lies in no other one, outside
//! of tests, is the repository's wherever it is. A file never means itself.

use super::{
    libraries::{Artifact, artifact, parts},
    place::is_test,
};
use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

/// Bytes of the paths that are kept. A path of 4,096 bytes may bring 60 folders, each with a path
/// of its own; usual ones bring a hundred bytes each.
const MOST_BYTES: usize = 64 << 20;

/// What a path without its extension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A folder with modules somewhere below it.
    Folder,
    Module,
    /// A folder with an `__init__.py`.
    Package,
}

/// The Python modules of a repository.
#[derive(Debug, Default)]
pub(super) struct OwnModules {
    kinds: HashMap<String, Kind>,
    /// The last segments of all paths: what is not among them is from elsewhere.
    names: HashSet<String>,
    bytes: usize,
    top_level: OnceCell<HashSet<String>>,
}

impl OwnModules {
    /// Takes note of a file, if it is a module.
    pub(super) fn see(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some((stem, extensions)) = name.split_once('.') else { return };
        let extension = extensions.rsplit('.').next().unwrap_or(extensions);
        if !matches!(extension, "py" | "pyw" | "pyi" | "pyx" | "so" | "pyd") {
            return;
        }
        for around in folders(folder) {
            // Then those around it are known too.
            if self.kinds.contains_key(around) {
                break;
            }
            self.put(around, Kind::Folder);
        }
        if stem == "__init__" {
            self.put(folder, Kind::Package);
        } else {
            self.put(&within(folder, stem), Kind::Module);
        }
    }

    /// Whether there are more modules than can be kept: what is one of them is not known then.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MOST_BYTES
    }

    fn put(&mut self, path: &str, kind: Kind) {
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
                .filter(|it| *it == own || self.kinds.get(*it) != Some(&Kind::Package))
                .any(|it| {
                    self.is_in(it, top, next, file)
                        || self.is_in(&within(it, "src"), top, next, file)
                })
    }

    fn is_in(&self, folder: &str, top: &str, next: Option<&str>, file: &str) -> bool {
        let path = within(folder, top);
        match self.kinds.get(&path) {
            Some(Kind::Package) => true,
            Some(Kind::Module) => file.strip_prefix(&path).is_none_or(|it| !it.starts_with('.')),
            Some(Kind::Folder) => {
                next.is_some_and(|next| self.kinds.contains_key(&within(&path, next)))
            }
            None => false,
        }
    }

    fn top_level(&self) -> &HashSet<String> {
        self.top_level.get_or_init(|| {
            let is_package = |path: &str| self.kinds.get(path) == Some(&Kind::Package);
            let top = |path: &String| {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                let is_top = is_package(path) && !is_package(folder) && !is_test(path);
                is_top.then(|| name.to_owned())
            };
            self.kinds.keys().filter_map(top).collect()
        })
    }
}

/// A folder, and those around it below the root.
fn folders(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |it| it.rsplit_once('/').map(|(around, _)| around))
        .filter(|it| !it.is_empty())
}

fn within(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The packages of the JVM that a repository's sources are in.
#[derive(Debug, Default)]
pub(super) struct OwnPackages {
    packages: HashSet<String>,
    /// How many sources are below the first three segments of their packages.
    roots: HashMap<String, usize>,
    sources: usize,
}

impl OwnPackages {
    pub(super) fn add(&mut self, package: String) {
        *self.roots.entry(root_of(&package).to_owned()).or_default() += 1;
        self.sources += 1;
        self.packages.insert(package);
    }

    /// Whether a package is one of the repository's, below one, or has the same first three
    /// segments. Of a library that is known, a few sources in its package do not make the library
    /// one's own: that is how its inner parts are reached.
    pub(super) fn has(&self, package: &str) -> bool {
        let root = root_of(package);
        let of_root = self.roots.get(root).copied().unwrap_or(0);
        let is_known = matches!(artifact(root), Artifact::Library(_));
        (of_root > 0 && (!is_known || of_root * 10 >= self.sources))
            || parts(package).any(|it| self.packages.contains(it) && it.contains('.'))
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
    fn modules_are_looked_for_where_python_finds_them() {
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
