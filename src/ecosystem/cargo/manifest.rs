//! `Cargo.toml`, by "The Manifest Format" and "Specifying Dependencies" of the Cargo book.
//!
//! Input: the dependency tables of a package or a workspace. Output: each external crate, under its real
//! name, and the name of the package itself. Invariants: a dependency with a `path` is part of the repository,
//! even if it also has a version for publishing.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared, MAX_NAME, MAX_VERSION},
    git_reference,
    path::{file_name, folder_of},
    resolution::ProjectName,
    text,
    toml::{self, Document},
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The specifier of a dependency that the workspace's manifest defines, until
/// [`inherit_versions`](super::inherit_versions) replaces it with that definition.
pub(super) const INHERITED: &str = "workspace = true";

const GROUPS: [(&str, Scope); 5] = [
    ("dependencies", Scope::Runtime),
    ("dev-dependencies", Scope::Dev),
    ("dev_dependencies", Scope::Dev),
    ("build-dependencies", Scope::Build),
    ("build_dependencies", Scope::Build),
];

/// Reads `Cargo.toml`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CargoToml;

impl Parser for CargoToml {
    fn name(&self) -> &'static str {
        "cargo-toml"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "Cargo.toml"
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Cargo, Source::Manifest);
        let folder = folder_of(file.path);
        toml::read(file.bytes, found, |document, found| walk(document, folder, found))
    }
}

fn walk(document: &Document<'_>, folder: &str, found: &mut Collector<'_>) {
    // The lock file names the members of the workspace.
    let package = toml::table(&document.root, "package");
    if let Some(name) = package.and_then(|package| toml::string(package, "name")) {
        let short = name.get(..name.len().min(MAX_NAME)).unwrap_or_default();
        found.keep(ProjectName { folder: folder.to_owned(), name: short.to_owned() });
    }
    let mut reader = Reader { document, found };
    reader.groups(&document.root);
    for target in toml::table(&document.root, "target").into_iter().flat_map(DeTable::values) {
        if let Some(table) = target.get_ref().as_table() {
            reader.groups(table);
        }
    }
    // Definitions for the members; the members' manifests state which of them are used, and how.
    if let Some(workspace) = toml::table(&document.root, "workspace") {
        reader.group(workspace, "dependencies", None);
        reader.found.describe(None, std::iter::empty());
    }
}

struct Reader<'d, 'f, 'c> {
    document: &'d Document<'d>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_, '_> {
    fn groups(&mut self, table: &DeTable<'_>) {
        for (key, scope) in GROUPS {
            self.group(table, key, Some(scope));
        }
    }

    fn group(&mut self, parent: &DeTable<'_>, key: &str, scope: Option<Scope>) {
        let Some(node) = parent.get(key) else { return };
        let Some(table) = node.get_ref().as_table() else {
            let message = format!("{key}: expected a table, got {}", node.get_ref().type_str());
            return self.found.warn(self.document.line(node), message);
        };
        for (name, value) in table {
            let line = self.document.line(name);
            self.dependency(name.get_ref(), value.get_ref(), line, scope);
        }
    }

    fn dependency(&mut self, key: &str, value: &DeValue<'_>, line: u32, scope: Option<Scope>) {
        let declared =
            Declared { name: key, line, direct: Some(true), scope, ..Declared::default() };
        match value {
            DeValue::String(range) => self.add(declared, Some(range.as_ref())),
            DeValue::Table(table) if toml::is_true(table, "workspace") => {
                self.inherited(declared, table);
            }
            DeValue::Table(table) => self.detailed(declared, table),
            other => {
                let key = text::excerpt(key);
                let message =
                    format!("`{key}`: expected a string or table, got {}", other.type_str());
                self.found.warn(line, message);
            }
        }
    }

    /// `name = { workspace = true }`: the workspace's table defines the crate.
    fn inherited(&mut self, mut declared: Declared<'_>, own: &DeTable<'_>) {
        if toml::is_true(own, "optional") {
            declared.scope = Some(Scope::Optional);
        }
        match toml::descend(&self.document.root, &["workspace", "dependencies"]) {
            // Each table of a target may refer to the same definition, so long texts are not copied.
            Some(defined) => match defined.get(declared.name).map(Spanned::get_ref) {
                Some(DeValue::String(range)) => self.add(declared, Some(range.as_ref())),
                Some(DeValue::Table(table)) => self.detailed(declared, table),
                _ => {
                    let name = text::excerpt(declared.name);
                    let message =
                        format!("`{name}` is not defined in the workspace's dependencies");
                    self.found.warn(declared.line, message);
                }
            },
            None => self.found.add(Declared { specifier: Some(INHERITED), ..declared }),
        }
    }

    fn detailed<'a>(&mut self, mut declared: Declared<'a>, table: &'a DeTable<'_>) {
        if table.contains_key("path") {
            return;
        }
        if let Some(name) = toml::string(table, "package") {
            declared.name = name;
        }
        if toml::is_true(table, "optional") {
            declared.scope = Some(Scope::Optional);
        }
        let range = toml::string(table, "version");
        let Some(git) = toml::string(table, "git") else {
            return self.add(declared, range);
        };
        // A range beside a git source is only a check; the git reference determines the crate.
        if let Some(commit) = toml::string(table, "rev").and_then(git_reference::commit) {
            return self.found.add(Declared { version: Some(commit), ..declared });
        }
        let is_short = |text: &&str| text.len() <= MAX_VERSION;
        let reference = ["rev", "tag", "branch"].iter().find_map(|key| {
            let reference = toml::string(table, key).filter(is_short)?;
            Some(format!("?{key}={reference}"))
        });
        let address = Some(git).filter(is_short);
        let address =
            address.map(|address| format!("git+{address}{}", reference.unwrap_or_default()));
        let address = address.as_deref().or(Some(git));
        self.found.add(Declared { specifier: range.or(address), ..declared });
    }

    fn add(&mut self, declared: Declared<'_>, range: Option<&str>) {
        match range.and_then(exact) {
            Some(version) => self.found.add(Declared { version: Some(version), ..declared }),
            None => self.found.add(Declared { specifier: range, ..declared }),
        }
    }
}

/// The version of a requirement that allows exactly one: `=1.2.3`.
fn exact(range: &str) -> Option<&str> {
    if range.len() > MAX_VERSION {
        return None;
    }
    let version = range.trim().strip_prefix('=')?.trim_start();
    let core = version.split(['-', '+']).next()?;
    let whole = core.split('.').count() == 3
        && core
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    (whole && !version.contains([',', ' '])).then_some(version)
}
