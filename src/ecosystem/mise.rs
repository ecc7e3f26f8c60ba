//! `mise.toml`, by the manual of mise.
//!
//! Input: the `[tools]`. Output: each tool; tools that mise installs from a package registry (`npm:prettier`)
//! are packages of that registry, all others are `generic`. Invariants: a malformed tool loses only itself.

use super::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_NAME},
    path::file_name,
    runtimes, text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::{Spanned, de::DeValue};

/// Reads `mise.toml` and its variants.
#[derive(Debug)]
pub(in crate::ecosystem) struct MiseToml;

impl Parser for MiseToml {
    fn name(&self) -> &'static str {
        "mise"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path).trim_start_matches('.');
        let is_named = ["mise", "rtx"]
            .iter()
            .any(|name| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        (is_named && file.ends_with(".toml"))
            || ["mise/config.toml", ".mise/config.toml"].iter().any(|suffix| {
                path == *suffix
                    || path.strip_suffix(suffix).is_some_and(|before| before.ends_with('/'))
            })
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        toml::read(file.bytes, Collector::new(file, Ecosystem::Generic, Source::Manifest), walk)
    }
}

fn walk(document: &Document<'_>, found: &mut Collector<'_>) {
    let Some(tools) = toml::table(&document.root, "tools") else { return };
    for (key, value) in tools {
        let line = document.line(key);
        if key.get_ref().len() > MAX_NAME {
            found.warn(line, format!("`{}` is not a tool name", text::excerpt(key.get_ref())));
            continue;
        }
        let wanted = versions(value);
        if wanted.is_empty() {
            let name = text::excerpt(key.get_ref());
            found.warn(line, format!("`{name}` has no version"));
        }
        for version in wanted {
            add(key.get_ref(), version, line, found);
        }
    }
}

/// `"20"`, `["20", "18"]`, or `{version = "20"}`, alone or in a list.
fn versions<'t>(value: &'t Spanned<DeValue<'_>>) -> Vec<&'t str> {
    let one = |value: &'t Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::Table(table) => toml::string(table, "version"),
        other => other.as_str(),
    };
    match value.get_ref() {
        DeValue::Array(several) => several.iter().filter_map(one).collect(),
        _ => one(value).into_iter().collect(),
    }
}

fn add(tool: &str, wanted: &str, line: u32, found: &mut Collector<'_>) {
    let (backend, name) = tool.split_once(':').unwrap_or(("core", tool));
    // `pipx:black[extra]`, `cargo:https://…`
    let name = name.split('[').next().unwrap_or(name);
    let (is_address, name) = match name.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, name),
    };
    let ecosystem = match backend {
        _ if is_address => Ecosystem::Generic,
        "npm" => Ecosystem::Npm,
        "pipx" => Ecosystem::PyPi,
        "cargo" => Ecosystem::Cargo,
        "go" => Ecosystem::Golang,
        _ => Ecosystem::Generic,
    };
    if ecosystem == Ecosystem::Generic {
        return runtimes::add(name, wanted, line, found);
    }
    let version = runtimes::exact(wanted);
    let specifier = Some(wanted).filter(|_| version.is_none());
    let (direct, scope) = (Some(true), Some(Scope::Dev));
    found.add_of(ecosystem, Declared { name, version, specifier, line, direct, scope });
}
