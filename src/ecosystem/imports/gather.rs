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
}

impl Imports {
    /// Takes note of a file of the repository, of whatever kind. All files are seen before the
    /// first one is read: a module that is there is no package from elsewhere.
    pub fn see(&mut self, path: &str) {
        self.modules.see(path);
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
        if let Some((place, _)) = self.python.get_mut(&name) {
            if place.is_after(is_test, file, line) {
                *place = Place { is_test, file: file.to_owned(), line };
            }
        } else if self.python.len() < MOST_NAMES {
            let place = Place { is_test, file: file.to_owned(), line };
            self.python.insert(name, (place, others));
        } else {
            self.is_full = true;
        }
    }

    fn add_package(&mut self, name: String, is_java: bool, is_test: bool, file: &str, line: u32) {
        if let Some((place, java)) = self.jvm.get_mut(&name) {
            *java |= is_java;
            if place.is_after(is_test, file, line) {
                *place = Place { is_test, file: file.to_owned(), line };
            }
        } else if self.jvm.len() < MOST_NAMES {
            let place = Place { is_test, file: file.to_owned(), line };
            self.jvm.insert(name, (place, is_java));
        } else {
            self.is_full = true;
        }
    }
}
