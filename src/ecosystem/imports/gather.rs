//! What the sources of one repository import, gathered while they are read.
//!
//! What must stay true: the order of the files does not matter; memory is bounded by the number
//! of different names, and by the number of files.

use super::{
    libraries::{Library, distribution},
    names::{Language, Named},
    own::{OwnModules, OwnPackages},
    place::{Place, is_test},
};
use std::collections::BTreeMap;

/// Different distributions, and different packages of the JVM, of one repository. Beyond it the
/// order of files would matter, so what comes then is left out by a warning.
pub(super) const MOST_NAMES: usize = 100_000;
/// Bytes of the names, and of the paths of the files that each stands in.
const MOST_BYTES: usize = 32 << 20;

/// The imports of a repository.
#[derive(Debug, Default)]
pub struct Imports {
    modules: OwnModules,
    pub(super) packages: OwnPackages,
    /// By the name of the distribution.
    pub(super) python: BTreeMap<String, (Place, &'static [&'static str])>,
    /// By the package that is imported; and whether a Java source imports it.
    pub(super) jvm: BTreeMap<String, (Place, bool)>,
    pub(super) is_full: bool,
    bytes: usize,
}

impl Imports {
    /// Takes note of a file of the repository, of whatever kind. All files are seen before the
    /// first one is read: a module that is there is no package from elsewhere.
    pub fn see(&mut self, path: &str) {
        self.modules.see(path);
    }

    /// Whether the files that were seen are too many, or their paths too long, to tell which
    /// modules are the repository's own.
    pub fn is_lost(&self) -> bool {
        self.modules.is_full()
    }

    /// Adds what a source imports.
    pub fn add(&mut self, file: &str, named: Named) {
        let is_test = is_test(file);
        if let Some(package) = named.package {
            self.packages.add(package);
        }
        for (name, line) in named.names {
            if named.language == Language::Python {
                self.add_module(&name, is_test, file, line);
            } else {
                let is_java = named.language == Language::Java;
                self.add_package(name, is_java, is_test, file, line);
            }
        }
    }

    fn add_module(&mut self, module: &str, is_test: bool, file: &str, line: u32) {
        let Some(Library { name, others }) = distribution(module) else { return };
        if self.modules.has(module, file) {
            return;
        }
        if self.python.get(&name).is_some_and(|(place, _)| !place.is_after(is_test, file, line)) {
            return;
        }
        let is_known = self.python.contains_key(&name);
        if self.has_room(is_known || self.python.len() < MOST_NAMES, name.len() + file.len()) {
            let place = Place { is_test, file: file.to_owned(), line };
            self.python.insert(name, (place, others));
        }
    }

    fn add_package(&mut self, name: String, is_java: bool, is_test: bool, file: &str, line: u32) {
        let mut is_java = is_java;
        let is_known = match self.jvm.get_mut(&name) {
            Some((place, java)) => {
                *java |= is_java;
                is_java = *java;
                if !place.is_after(is_test, file, line) {
                    return;
                }
                true
            }
            None => false,
        };
        if self.has_room(is_known || self.jvm.len() < MOST_NAMES, name.len() + file.len()) {
            let place = Place { is_test, file: file.to_owned(), line };
            self.jvm.insert(name, (place, is_java));
        }
    }

    /// Whether there is room for a name with its place, which it takes then.
    fn has_room(&mut self, is_allowed: bool, bytes: usize) -> bool {
        let fits = is_allowed && self.bytes + bytes <= MOST_BYTES;
        self.bytes += if fits { bytes } else { 0 };
        self.is_full |= !fits;
        fits
    }
}
