//! Collects the imports of all sources of a repository.
//!
//! Input: the paths of all files, then the imports of each source. Output: each imported name once, at its
//! first location. Invariants: the order of the files does not matter; memory is bounded by the number of
//! different names and of files.

use super::{
    libraries::{Library, distribution},
    location::{Location, is_test},
    names::{FileImports, Language},
    own::{OwnModules, OwnPackages},
};
use crate::ecosystem::facts::{Fact, Facts};
use std::collections::BTreeMap;

/// Different distributions, and different packages of the JVM, of one repository. With more, the result
/// would depend on the order of the files, so the rest is dropped with a warning.
pub(super) const MAX_NAMES: usize = 100_000;
/// Bytes of the names and of the paths of their files.
const MAX_BYTES: usize = 32 << 20;

/// The imports of a repository.
#[derive(Debug, Default)]
pub struct Imports {
    modules: OwnModules,
    pub(super) packages: OwnPackages,
    /// By the name of the distribution.
    pub(super) python: BTreeMap<String, (Location, &'static [&'static str])>,
    /// By the package that is imported; and whether a Java source imports it.
    pub(super) jvm: BTreeMap<String, (Location, bool)>,
    /// By the specifier.
    pub(super) javascript: BTreeMap<String, Location>,
    pub(super) is_full: bool,
    bytes: usize,
}

impl Fact for FileImports {
    /// The names are bounded here, and a file that names nothing is not kept.
    fn size(&self) -> usize {
        0
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|imports: &mut Imports| imports.add(*self));
    }
}

impl Imports {
    /// Records the path of a file of any kind. All paths are recorded before the first source is added,
    /// because a module of the repository itself is not a package.
    pub fn see(&mut self, path: &str) {
        self.modules.see(path);
    }

    /// Whether there are too many files, or their paths are too long, to tell which modules belong to
    /// the repository.
    pub fn has_too_many_modules(&self) -> bool {
        self.modules.is_full()
    }

    /// Adds the imports of a source.
    pub(super) fn add(&mut self, named: FileImports) {
        let file = named.file.as_str();
        let is_test = is_test(file);
        if let Some(package) = named.package {
            self.packages.add(package);
        }
        for (name, line) in named.names {
            match named.language {
                Language::Python => self.add_module(&name, is_test, file, line),
                Language::JavaScript => self.add_specifier(name, is_test, file, line),
                Language::Java | Language::Scala => {
                    let is_java = named.language == Language::Java;
                    self.add_package(name, is_java, is_test, file, line);
                }
            }
        }
    }

    fn add_module(&mut self, module: &str, is_test: bool, file: &str, line: u32) {
        let Some(Library { name, others }) = distribution(module) else { return };
        if self.modules.has(module, file) {
            return;
        }
        if self
            .python
            .get(&name)
            .is_some_and(|(location, _)| !location.is_after(is_test, file, line))
        {
            return;
        }
        let is_known = self.python.contains_key(&name);
        if self.has_room(is_known || self.python.len() < MAX_NAMES, name.len() + file.len()) {
            let location = Location { is_test, file: file.to_owned(), line };
            self.python.insert(name, (location, others));
        }
    }

    fn add_package(&mut self, name: String, is_java: bool, is_test: bool, file: &str, line: u32) {
        let mut is_java = is_java;
        let is_known = match self.jvm.get_mut(&name) {
            Some((location, java)) => {
                *java |= is_java;
                is_java = *java;
                if !location.is_after(is_test, file, line) {
                    return;
                }
                true
            }
            None => false,
        };
        if self.has_room(is_known || self.jvm.len() < MAX_NAMES, name.len() + file.len()) {
            let location = Location { is_test, file: file.to_owned(), line };
            self.jvm.insert(name, (location, is_java));
        }
    }

    fn add_specifier(&mut self, specifier: String, is_test: bool, file: &str, line: u32) {
        let known = self.javascript.get(&specifier);
        if known.is_some_and(|location| !location.is_after(is_test, file, line)) {
            return;
        }
        let is_allowed = known.is_some() || self.javascript.len() < MAX_NAMES;
        if self.has_room(is_allowed, specifier.len() + file.len()) {
            let location = Location { is_test, file: file.to_owned(), line };
            self.javascript.insert(specifier, location);
        }
    }

    /// Reserves room for a name and its location, if there is any.
    fn has_room(&mut self, is_allowed: bool, bytes: usize) -> bool {
        let fits = is_allowed && self.bytes + bytes <= MAX_BYTES;
        self.bytes += if fits { bytes } else { 0 };
        self.is_full |= !fits;
        fits
    }
}
