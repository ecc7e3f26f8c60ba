//! `conda-meta/*.json`, with which conda records the packages of an environment.
//!
//! Input: the record of one package. Output: the package. Decisions: a package that was requested by a
//! specification is direct; the names in `depends` refer to other files and are not resolved.
//!
//! Invariants: a record without a name is a warning.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node},
    path::{file_name, folder_of},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};

/// Reads the records of an environment.
#[derive(Debug)]
pub(in crate::ecosystem) struct CondaMeta;

impl Parser for CondaMeta {
    fn name(&self) -> &'static str {
        "conda-meta"
    }

    fn wants(&self, path: &str) -> bool {
        path.ends_with(".json") && file_name(folder_of(path)) == "conda-meta"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Conda, Source::Lockfile);
        json::read(file.bytes, found, walk)
    }
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let line = root.get("name").map_or(root.line, |name| name.line);
    let Some(name) = root.text("name") else {
        return found.warn(line, "a package without a name");
    };
    let version = root.text("version");
    if version.is_none() {
        found.warn(line, format!("`{}` has no version", text::excerpt(name)));
    }
    // Old versions of conda wrote the word `None`.
    let is_requested =
        |spec: &Node<'_>| spec.as_str().is_some_and(|spec| !matches!(spec, "" | "None"));
    let mut requested =
        root.get("requested_spec").into_iter().chain(root.elements("requested_specs"));
    let direct = requested.any(is_requested).then_some(true);
    let declared = Declared { name, version, line, direct, ..Declared::default() };
    if let Some(added) = found.take(Ecosystem::Conda, declared) {
        super::state(found, added, |name| root.text(name));
    }
}
