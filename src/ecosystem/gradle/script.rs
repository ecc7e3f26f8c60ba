//! The contents of one Gradle file, until all files of the build have been read.
//!
//! Input: the modules that a script requires, the constants of scripts, `gradle.properties` and `buildSrc`
//! sources, and the entries of a version catalog. Output: the same, for
//! [`resolve`](super::resolve). Invariants: `size` is proportional to the memory.

use super::statement::NotationKind;
use crate::ecosystem::{
    facts::{Fact, Facts},
    script::Constants,
};
use crate::model::scan_result::Scope;
use std::{collections::HashMap, sync::Arc};

/// Bytes of an average entry.
const USUAL_ENTRY: usize = 256;

/// The contents of a file of a Gradle build.
#[derive(Debug, Default, PartialEq)]
pub(super) struct GradleFile {
    pub(super) file: String,
    pub(super) constants: Constants,
    pub(super) requested: Vec<Requested>,
    /// The entries of a version catalog, by the path after its name: `guava`, `bundles.web`.
    pub(super) catalog: HashMap<String, Vec<Library>>,
}

/// A module that a script requires.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requested {
    pub(super) kind: NotationKind,
    pub(super) rich_version: Option<Arc<str>>,
    pub(super) scope: Option<Scope>,
    pub(super) is_constraint: bool,
    pub(super) line: u32,
}

/// A library or a plugin of a version catalog. References to it share its texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Library {
    pub(super) name: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    pub(super) range: Option<Arc<str>>,
}

impl Fact for GradleFile {
    fn size(&self) -> usize {
        let path = self.file.len();
        let requested = self.requested.iter().map(|requested| requested.kind.text_len() + path);
        let library = |library: &Library| {
            library.name.len() + library.version.as_ref().map_or(0, |version| version.len())
        };
        let entries = self.catalog.values().flatten().map(library);
        let names = self
            .constants
            .iter()
            .map(|(name, value)| name.len() + value.text().map_or(0, str::len));
        let all = requested.chain(entries).chain(names).map(|bytes| 1 + bytes / USUAL_ENTRY);
        1 + path / USUAL_ENTRY + all.sum::<usize>()
    }

    fn gather(self: Box<Self>, facts: &mut Facts) {
        facts.with(|files: &mut Vec<Self>| files.push(*self));
    }
}
