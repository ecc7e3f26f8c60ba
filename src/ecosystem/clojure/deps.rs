//! `deps.edn`, by "deps.edn Reference" of clojure.org, and `bb.edn` of Babashka, whose `:deps` are equal.
//!
//! Input: the maps of libraries at the top, in aliases and in tasks. Output: each library. Invariants: a library
//! of a local folder or jar is part of the repository; `:exclusions` require nothing; `:default-deps` only give
//! coordinates to libraries without any.
//!
//! Decisions. Aliases are used on request: one whose name contains `test` has the scope test, one that has its
//! own set of libraries or a default namespace is a tool of the build, any other is for development.

use super::{
    edn::{self, Form, Node},
    library::{self, Version},
};
use crate::ecosystem::{Findings, Parser, SourceFile, collect::Collector, path::file_name, text};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads `deps.edn` and `bb.edn`.
#[derive(Debug)]
pub(in crate::ecosystem) struct DepsEdn;

impl Parser for DepsEdn {
    fn name(&self) -> &'static str {
        "deps-edn"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(file_name(path), "deps.edn" | "bb.edn")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        edn::read(file.bytes, found, |forms, found| {
            let Some(root) = forms.first() else { return };
            if !matches!(root.form, Form::Map(_)) {
                return found.warn(root.line, format!("expected a map, got {}", root.kind()));
            }
            walk(root, found);
        })
    }
}

/// The coordinate of each library in `:default-deps`; none where aliases differ.
type Defaults<'n, 'a> = HashMap<&'n str, Option<&'n Node<'a>>>;

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    let aliases = move || {
        let groups = ["aliases", "tasks"].into_iter().filter_map(move |key| root.get(key));
        groups.flat_map(|group| group.entries().chunks_exact(2))
    };
    let mut defaults = Defaults::new();
    for map in aliases().filter_map(|alias| alias[1].get("default-deps")) {
        for entry in map.entries().chunks_exact(2) {
            let Some(name) = entry[0].symbol().filter(|_| found.budget().visit()) else { continue };
            let known = defaults.entry(name).or_insert(Some(&entry[1]));
            if known.is_some_and(|coordinate| version(coordinate) != version(&entry[1])) {
                *known = None;
            }
        }
    }
    if let Some(map) = root.get("deps") {
        libraries(map, Scope::Runtime, &defaults, found);
    }
    for alias in aliases() {
        let (name, data) = (&alias[0], &alias[1]);
        for key in ["deps", "replace-deps", "extra-deps", "override-deps"] {
            if let Some(map) = data.get(key) {
                libraries(map, scope_of(name, data), &defaults, found);
            }
        }
    }
}

fn scope_of(alias: &Node<'_>, data: &Node<'_>) -> Scope {
    let name = match &alias.form {
        Form::Keyword(name) | Form::Symbol(name) => name.to_ascii_lowercase(),
        _ => String::new(),
    };
    let is_tool = ["deps", "replace-deps", "ns-default"].iter().any(|key| data.get(key).is_some());
    match name.as_str() {
        name if name.contains("test") => Scope::Test,
        name if is_tool || name.contains("build") => Scope::Build,
        _ => Scope::Dev,
    }
}

/// Reads a map from libraries to coordinates.
fn libraries<'n, 'a>(
    map: &'n Node<'a>,
    scope: Scope,
    defaults: &Defaults<'n, 'a>,
    found: &mut Collector<'_>,
) {
    if !matches!(map.form, Form::Map(_)) {
        return found.warn(map.line, format!("expected a map of libraries, got {}", map.kind()));
    }
    let mut rest = map.entries();
    while let Some((symbol, behind)) = rest.split_first() {
        let Some(name) = symbol.symbol() else {
            let message = format!("expected the name of a library, got {}", symbol.kind());
            found.warn(symbol.line, message);
            rest = behind;
            continue;
        };
        let coordinate = behind.first();
        let is_nil = coordinate.is_some_and(|coordinate| coordinate.symbol() == Some("nil"));
        match coordinate.map(|coordinate| (coordinate, &coordinate.form)) {
            Some((coordinate, Form::Map(_))) => library(symbol, coordinate, scope, defaults, found),
            Some((coordinate, _)) if is_nil => library(symbol, coordinate, scope, defaults, found),
            // The coordinate is missing: the next form may be the next library.
            Some((_, Form::Symbol(_))) | None => {
                found.warn(symbol.line, format!("`{}` has no coordinate", text::excerpt(name)));
                rest = behind;
                continue;
            }
            Some((coordinate, _)) => {
                let (name, kind) = (text::excerpt(name), coordinate.kind());
                found.warn(symbol.line, format!("`{name}`: expected a map, got {kind}"));
            }
        }
        rest = behind.get(1..).unwrap_or_default();
    }
}

fn library<'n, 'a>(
    symbol: &'n Node<'a>,
    coordinate: &'n Node<'a>,
    scope: Scope,
    defaults: &Defaults<'n, 'a>,
    found: &mut Collector<'_>,
) {
    let default = || *defaults.get(symbol.symbol()?)?;
    let is_empty = coordinate.entries().is_empty();
    let coordinate = if is_empty { default().unwrap_or(coordinate) } else { coordinate };
    let scope = Some(scope);
    let has = |keys: [&str; 3]| keys.iter().any(|key| coordinate.get(key).is_some());
    if coordinate.get("local/root").is_some() {
        return;
    }
    if coordinate.get("mvn/version").is_none()
        && (has(["git/sha", "git/tag", "git/url"]) || coordinate.get("sha").is_some())
    {
        return library::add_git(symbol, coordinate, scope, found);
    }
    let version = version(coordinate).map_or(Version::None, Version::Text);
    library::add(symbol, version, scope, found);
}

fn version<'n>(coordinate: &'n Node<'_>) -> Option<&'n str> {
    coordinate.get("mvn/version")?.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edn_files_are_wanted() {
        for path in ["deps.edn", "a/deps.edn", "bb.edn"] {
            assert!(DepsEdn.wants(path), "{path}");
        }
        assert!(!DepsEdn.wants("config.edn"));
    }
}
