//! `hatch.toml`, and `[tool.hatch]` of `pyproject.toml`, by "Environment configuration" and "Build
//! configuration" of Hatch's documentation.
//!
//! Input: `envs`, `env` and `build`. Output: the requirements of environments, of plugins for them, and of
//! build targets and hooks. Invariants: what the project itself requires is in `pyproject.toml`.

use super::{PYPROJECT, group_scope, lists::Reader};
use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile, collect::Collector, path::file_name, toml,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::de::DeTable;

/// Reads `hatch.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct HatchToml;

impl Parser for HatchToml {
    fn name(&self) -> &'static str {
        "hatch"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "hatch.toml"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with(PYPROJECT)
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::PyPi, Source::Manifest);
        toml::read(file.bytes, found, |document, found| {
            read(&document.root, &mut Reader::new(document, found));
        })
    }
}

/// Reads the tables of Hatch.
pub(super) fn read(hatch: &DeTable<'_>, reader: &mut Reader<'_, '_, '_>) {
    for (name, environment) in tables(hatch, "envs") {
        for key in ["dependencies", "extra-dependencies"] {
            reader.list(environment, key, group_scope(name));
        }
    }
    if let Some(environments) = toml::table(hatch, "env") {
        reader.list(environments, "requires", Scope::Dev);
    }
    let Some(build) = toml::table(hatch, "build") else { return };
    for (_, hook) in tables(build, "hooks") {
        reader.list(hook, "dependencies", Scope::Build);
    }
    for (_, target) in tables(build, "targets") {
        reader.list(target, "dependencies", Scope::Build);
        for (_, hook) in tables(target, "hooks") {
            reader.list(hook, "dependencies", Scope::Build);
        }
    }
}

/// The tables in a table, each with its name.
fn tables<'t, 'i>(
    parent: &'t DeTable<'i>,
    key: &str,
) -> impl Iterator<Item = (&'t str, &'t DeTable<'i>)> + use<'t, 'i> {
    let all = toml::table(parent, key).into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.get_ref().as_ref(), value.get_ref().as_table()?)))
}
