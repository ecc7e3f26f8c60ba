//! `environment.yml`, by "Managing environments" of conda's manual; lock files and the records of installed
//! packages are in [`lock`], [`explicit`], [`pixi_lock`] and [`installed`].
//!
//! Input: the `dependencies` of an environment. Output: its conda packages, and the requirements of its
//! `pip` list as `PyPI` packages.
//!
//! Decisions. The file is read line by line, with the parts of YAML that such files use: blocks and `[…]`
//! lists. These files are written manually and contain templates, so a YAML parser would stop at the
//! first bad line. `python` is a package like any other, because conda installs it as one. `name=1.2`
//! requires any 1.2.x, but `conda env export` writes exact versions the same way: the text becomes both
//! version and specifier. An exported environment (with a `prefix`) lists all packages, so `direct` is
//! unknown.
//!
//! Invariants: a bad line loses only itself; nothing is expanded, so aliases cost nothing.

mod explicit;
mod installed;
mod lock;
mod pixi_lock;
mod spec;

pub(super) use explicit::CondaExplicit;
pub(super) use installed::CondaMeta;
pub(super) use lock::CondaLock;
pub(super) use pixi_lock::PixiLock;

use super::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    python, text,
    yaml::Node,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use spec::Spec;

/// Records the digests and the license that a lock file or a record states for a package, by the names of its members.
fn state<'t>(found: &mut Collector<'_>, of: Added, text: impl Fn(&str) -> Option<&'t str>) {
    for algorithm in ["md5", "sha256"] {
        if let Some(digits) = text(algorithm) {
            found.hash(Some(of), digits);
        }
    }
    // Tools write `None` where a package states no license.
    if let Some(license) = text("license").filter(|license| *license != "None") {
        found.license(Some(of), license);
    }
}

/// Reads `environment.yml` and files with similar names.
#[derive(Debug)]
pub(in crate::ecosystem) struct CondaEnvironment;

impl Parser for CondaEnvironment {
    fn name(&self) -> &'static str {
        "conda"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path).to_ascii_lowercase();
        let Some(stem) = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")) else {
            return false;
        };
        // `conda-lock.yml` has another format, unlike the environments that conda-lock writes for one platform
        // (`conda-linux-64.lock.yml`); `meta.yaml` and `conda_build_config.yaml` are recipes.
        let is_recipe = matches!(stem, "conda_build_config" | "conda-forge" | "conda-build");
        let is_other = stem.ends_with("conda-lock") || is_recipe;
        let words: Vec<_> = stem.split(['-', '_', '.']).collect();
        let named = ["environment", "conda", "condaenv"].iter().any(|word| words.contains(word));
        named && !is_other
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        read_environment(&text::decode(file.bytes), file)
    }
}

/// Whether a document is an environment, whatever the name of its file: it lists channels and packages.
pub(super) fn is_environment(document: Node<'_, '_>) -> bool {
    let is_list =
        |key: &str| document.get(key).is_some_and(|node| node.elements().next().is_some());
    is_list("channels") && is_list("dependencies")
}

/// Reads the text of an environment.
pub(super) fn read_environment(text: &str, file: SourceFile<'_>) -> Findings {
    let mut found = Collector::new(file, Ecosystem::Conda, Source::Manifest);
    let exported = text.lines().any(|line| line.starts_with("prefix:"));
    let declared = Declared {
        direct: (!exported).then_some(true),
        scope: Some(scope_of_file(file.path)),
        ..Declared::default()
    };
    let mut reader = Reader {
        declared,
        lists: Vec::new(),
        in_brackets: false,
        understood: false,
        found: &mut found,
    };
    for (number, line) in (1_u32..).zip(text.lines()) {
        reader.declared.line = number;
        reader.line(without_comment(line).trim_end());
    }
    if !reader.understood && found.has_warnings() {
        return found.unreadable();
    }
    found.finish()
}

fn scope_of_file(path: &str) -> Scope {
    let file = file_name(path).to_ascii_lowercase();
    let mut words = file.split(['-', '_', '.']);
    words
        .find_map(|word| match word {
            "test" | "tests" | "testing" => Some(Scope::Test),
            "dev" | "develop" | "development" | "docs" => Some(Scope::Dev),
            "build" => Some(Scope::Build),
            _ => None,
        })
        .unwrap_or(Scope::Runtime)
}

/// The kind of a list's entries.
#[derive(Debug, Clone, Copy, PartialEq)]
enum List {
    Conda,
    Pip,
    Other,
}

struct Reader<'f, 'c> {
    declared: Declared<'static>,
    /// The open lists, each with the column of its key.
    lists: Vec<(usize, List)>,
    /// Whether the last list is in brackets that are not closed yet.
    in_brackets: bool,
    /// Whether the file has any key.
    understood: bool,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_> {
    fn line(&mut self, line: &str) {
        let text = line.trim_start();
        if text.is_empty() || text == "---" || text == "..." {
            return;
        }
        let column = line.len() - text.len();
        let (is_entry, text) = match text.strip_prefix('-') {
            Some(rest) if rest.is_empty() || rest.starts_with([' ', '\t']) => (true, rest.trim()),
            _ => (false, text),
        };
        let key = key_and_value(text);
        let list = self.lists.last().map_or(List::Other, |(_, list)| *list);
        match key {
            None if self.in_brackets => return self.entries(list, text),
            None if !is_entry => return self.refuse(list, text),
            _ => {}
        }
        // A list may have the column of its key.
        self.lists.retain(|(at, _)| *at < column || (is_entry && *at == column));
        self.in_brackets = false;
        let list = self.lists.last().map_or(List::Other, |(_, list)| *list);
        match key {
            // The column of a key within an entry is after the dash.
            Some((key, value)) => self.key(list, column + usize::from(is_entry), key, value),
            None => self.entry(list, text),
        }
    }

    /// Handles a line that is neither key nor entry: the continuation of a value, or a mistake.
    fn refuse(&mut self, list: List, text: &str) {
        if list != List::Other || self.lists.is_empty() {
            let message = format!("`{}` is not a list entry", text::excerpt(text));
            self.found.warn(self.declared.line, message);
        }
    }

    fn key(&mut self, outer: List, column: usize, key: &str, value: &str) {
        self.understood = true;
        let list = match (outer, key) {
            (List::Other, "dependencies") if column == 0 => List::Conda,
            (List::Conda, "pip") => List::Pip,
            _ => List::Other,
        };
        self.lists.push((column, list));
        if let Some(entries) = value.strip_prefix('[') {
            self.in_brackets = true;
            self.entries(list, entries);
        }
    }

    /// Reads the entries between brackets on one line.
    fn entries(&mut self, list: List, text: &str) {
        // The bracket may belong to an entry: `uvicorn[standard]`.
        let closes = text.ends_with(']') && text.matches('[').count() < text.matches(']').count();
        let text = if closes { text.trim_end_matches(']') } else { text };
        for entry in text.split(',').filter(|entry| !entry.trim().is_empty()) {
            self.entry(list, entry.trim());
        }
        self.in_brackets = !closes;
    }

    fn entry(&mut self, list: List, entry: &str) {
        let entry = unquoted(entry.trim());
        match list {
            List::Other => {}
            List::Conda if entry.starts_with('{') => {
                let message = format!("`{}` is skipped", text::excerpt(entry));
                self.found.warn(self.declared.line, message);
            }
            List::Conda => self.package(entry),
            List::Pip => drop(python::add_requirement(entry, self.declared, self.found)),
        }
    }

    fn package(&mut self, entry: &str) {
        let Some(spec) = Spec::read(entry) else {
            let message = format!("`{}` is not a conda package", text::excerpt(entry));
            return self.found.warn(self.declared.line, message);
        };
        let Spec { name, version, specifier } = spec;
        self.found.add(Declared { name, version, specifier, ..self.declared });
    }
}

/// `key:` or `key: value`; none for an entry such as `channel::name`.
fn key_and_value(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once(':')?;
    let is_key = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-\"'".contains(&byte));
    let ends = value.is_empty() || value.starts_with([' ', '\t']);
    (is_key && ends && !key.is_empty()).then(|| (unquoted(key), value.trim()))
}

fn unquoted(text: &str) -> &str {
    let quoted =
        ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    quoted.unwrap_or(text).trim()
}

/// Removes a comment: a `#` at the start of a line or after white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or(line);
        }
        before = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conda_files_are_wanted() {
        for path in [
            "environment.yml",
            "a/environment.yaml",
            "environment-dev.yml",
            "dev-environment.yml",
            "conda.yaml",
            "conda-linux.yml",
            "my_conda.yml",
            "environment_gpu.yml",
            "environment.lock.yml",
            "conda-linux-64.lock.yml",
            "environment-condalock.yml",
            "environment-build.yml",
        ] {
            assert!(CondaEnvironment.wants(path), "{path}");
        }
        for path in [
            "conda-lock.yml",
            "gpu.conda-lock.yml",
            "conda_build_config.yaml",
            "conda-forge.yml",
            "meta.yaml",
            "config.yml",
        ] {
            assert!(!CondaEnvironment.wants(path), "{path}");
        }
    }
}
