//! What one file says of a Gradle build, until all files of the build are there.
//!
//! What flows in: what a script asks for, the texts that it, a `gradle.properties` or a source of
//! `buildSrc` give to names, and the entries of a version catalog. What flows out: the same, for
//! [`join`](crate::ecosystem::join()). What must stay true: its size bounds the memory that it takes.

use super::statement::Kind;
use crate::ecosystem::script::Constants;
use crate::model::scan_result::Scope;
use std::{collections::HashMap, sync::Arc};

/// The texts of an entry are seldom longer, in bytes.
const USUAL_ENTRY: usize = 256;

/// What a file of a Gradle build says.
#[derive(Debug, Default, PartialEq)]
pub struct GradleFile {
    pub(super) file: String,
    pub(super) constants: Constants,
    pub(super) asked: Vec<Asked>,
    /// The entries of a version catalog, by the path behind its name: `guava`, `bundles.web`.
    pub(super) catalog: HashMap<String, Vec<Library>>,
}

/// A module that a script names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) rich_version: Option<Arc<str>>,
    pub(super) scope: Option<Scope>,
    pub(super) is_constraint: bool,
    pub(super) line: u32,
}

/// A library or a plugin of a version catalog. Whoever refers to it shares its texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Library {
    pub(super) name: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    pub(super) range: Option<Arc<str>>,
}

impl GradleFile {
    /// How many things it holds, as a measure of the memory that it and its packages take.
    pub fn size(&self) -> usize {
        let path = self.file.len();
        let asked = self.asked.iter().map(|it| it.kind.text_len() + path);
        let library = |it: &Library| it.name.len() + it.version.as_ref().map_or(0, |it| it.len());
        let entries = self.catalog.values().flatten().map(library);
        let names = self
            .constants
            .iter()
            .map(|(name, value)| name.len() + value.text().map_or(0, str::len));
        let all = asked.chain(entries).chain(names).map(|bytes| 1 + bytes / USUAL_ENTRY);
        1 + path / USUAL_ENTRY + all.sum::<usize>()
    }
}
