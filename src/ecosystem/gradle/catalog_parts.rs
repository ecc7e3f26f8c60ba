//! The parts of version catalogs.
//!
//! Input: what the parsers of catalogs and settings read, and what [`catalogs`](super::catalogs) completes. Output: the
//! same as types. Invariants: references to an entry share its texts.

use super::{statement::NotationKind, version::Rich};
use crate::ecosystem::script::Constants;
use std::{collections::HashMap, sync::Arc};

/// A version catalog, as one file defines it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Catalog {
    /// The name by which scripts refer to it.
    pub(super) name: String,
    pub(super) versions: Vec<(String, Rich)>,
    pub(super) entries: Vec<Entry>,
    /// The name of each bundle, and the aliases in it.
    pub(super) bundles: Vec<(String, Vec<String>)>,
    pub(super) imports: Vec<(Import, u32)>,
}

/// A library or a plugin. A plugin is named by its marker.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) alias: String,
    pub(super) kind: NotationKind,
    pub(super) version: EntryVersion,
    pub(super) is_plugin: bool,
    pub(super) line: u32,
}

#[derive(Debug, PartialEq)]
pub(super) enum EntryVersion {
    /// That of the notation, if it has any.
    None,
    Rich(Rich),
    /// The alias of a version of the catalog.
    Reference(String),
}

/// What `from(…)` imports.
#[derive(Debug, PartialEq)]
pub(super) enum Import {
    /// The path of a file, relative to the folder of the settings.
    File(String),
    /// A published catalog.
    Module(String),
}

impl Catalog {
    /// Bytes of its parts.
    pub(super) fn text_lens(&self) -> impl Iterator<Item = usize> {
        let entries = self.entries.iter().map(|entry| entry.alias.len() + entry.kind.text_len());
        let versions = self.versions.iter().map(|(alias, _)| alias.len());
        let bundle = |(name, aliases): &(String, Vec<String>)| {
            name.len() + aliases.iter().map(String::len).sum::<usize>()
        };
        entries.chain(versions).chain(self.bundles.iter().map(bundle))
    }
}

/// A library or a plugin of a version catalog. References to it share its texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Library {
    pub(super) name: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    pub(super) range: Option<Arc<str>>,
}

/// A catalog with the contents of the files that it imports.
#[derive(Debug)]
pub(super) struct Complete {
    /// The folder of the build in which scripts see the catalog.
    pub(super) folder: String,
    pub(super) name: String,
    /// The versions, by the names that scripts use: `libs.versions.kotlin`.
    pub(super) constants: Constants,
    /// The entries, by the path after the name of the catalog: `guava`, `bundles.web`.
    pub(super) entries: HashMap<String, Vec<Library>>,
}
