//! The contents of one Gradle file, until all files of the build have been read.
//!
//! Input: the modules that a script requires, the constants of scripts, `gradle.properties` and `buildSrc`
//! sources, the version catalogs that a file defines, and the plugins that a project builds. Output: the same, for
//! [`resolve`](super::resolve). Invariants: `size` is proportional to the memory.

use super::{catalog_parts::Catalog, statement::NotationKind, version::Rich};
use crate::ecosystem::{
    facts::{Fact, Facts},
    script::Constants,
};
use crate::model::scan_result::{Scope, Warning};

/// Bytes of an average entry.
const USUAL_ENTRY: usize = 256;

/// The contents of a file of a Gradle build.
#[derive(Debug, Default, PartialEq)]
pub(super) struct GradleFile {
    pub(super) file: String,
    pub(super) constants: Constants,
    pub(super) requested: Vec<Requested>,
    pub(super) catalogs: Vec<Catalog>,
    /// The ids of the plugins that the project builds, as written.
    pub(super) own_plugins: Vec<String>,
    /// The warnings about a file that only counts if another one imports it.
    pub(super) withheld: Vec<Warning>,
}

/// A module that a script requires.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requested {
    pub(super) kind: NotationKind,
    pub(super) rich: Rich,
    pub(super) scope: Option<Scope>,
    pub(super) role: Role,
    pub(super) line: u32,
}

/// What a module is required for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    #[default]
    Module,
    /// Only the version counts, for a module that something else requires.
    Constraint,
    /// A module that is a BOM, and manages the versions of others.
    Platform,
    /// A BOM that Spring's dependency management plugin imports.
    Import,
}

impl Fact for GradleFile {
    fn size(&self) -> usize {
        let path = self.file.len();
        let requested = self.requested.iter().map(|requested| requested.kind.text_len() + path);
        let entries = self.catalogs.iter().flat_map(Catalog::text_lens);
        let plugins = self.own_plugins.iter().map(String::len);
        let names = self
            .constants
            .iter()
            .map(|(name, value)| name.len() + value.text().map_or(0, str::len));
        let all = requested.chain(entries).chain(plugins).chain(names);
        let all = all.map(|bytes| 1 + bytes / USUAL_ENTRY);
        1 + path / USUAL_ENTRY + all.sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|files: &mut Vec<Self>| files.push(*self));
    }
}
