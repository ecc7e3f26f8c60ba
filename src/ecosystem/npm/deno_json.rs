//! `deno.json`, `deno.jsonc` and import maps, by "Configuration" of Deno's manual and "Import maps" of the HTML
//! standard.
//!
//! Input: `imports` and `scopes`, and the modules of the linter and of the compiler. Output: the packages of npm and
//! JSR that their specifiers name, each once; the project's name and workspace.
//!
//! Decisions. A specifier is `npm:name@range/path` or `jsr:@scope/name@range/path`. Files of the repository, modules of
//! Node and modules by URL are not packages: a URL has neither name nor version. The type of the file is that of
//! JSR, as are the projects.
//!
//! Invariants: a malformed entry loses only itself.

use super::{pattern::split_pattern, version_or_range};
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    json::{self, Node},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Reads `deno.json`, `deno.jsonc` and import maps of the usual names.
#[derive(Debug)]
pub(in crate::ecosystem) struct DenoJson;

impl Parser for DenoJson {
    fn name(&self) -> &'static str {
        "deno-json"
    }

    fn wants(&self, path: &str) -> bool {
        matches!(
            file_name(path),
            "deno.json"
                | "deno.jsonc"
                | "import_map.json"
                | "import_map.jsonc"
                | "import-map.json"
                | "importmap.json"
        )
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::Jsr, Source::Manifest).merging();
        let is_project = file_name(file.path).starts_with("deno.");
        json::read(file.bytes, found, |root, found| {
            if is_project {
                describe(root, found);
            }
            walk(root, found);
        })
    }
}

/// The project, and its members: a list, or an object with the list.
fn describe(root: &Node<'_>, found: &mut Collector<'_>) {
    let members = root.elements("workspace").chain(
        root.get("workspace").into_iter().flat_map(|workspace| workspace.elements("members")),
    );
    found.describe(root.text("name"), members.filter_map(Node::as_str));
}

fn walk(root: &Node<'_>, found: &mut Collector<'_>) {
    if let Some(map) = root.get("importMap") {
        let path = map.as_str().unwrap_or_default();
        if !DenoJson.wants(path) {
            let path = text::excerpt(path);
            let message = format!("the import map `{path}` is not read: its name is not usual");
            found.warn(map.line, message);
        }
    }
    table(root, "imports", found);
    if let Some(scopes) = root.get("scopes") {
        for scope in scopes.members().unwrap_or_default() {
            entries(&scope.value, found);
        }
    }
    let compiler = root.get("compilerOptions");
    let types = compiler.into_iter().flat_map(|options| options.elements("types"));
    let plugins = root.get("lint").into_iter().flat_map(|lint| lint.elements("plugins"));
    for module in types.chain(plugins) {
        if let Some(specifier) = module.as_str() {
            add(specifier, Scope::Dev, module.line, found);
        }
    }
    if let Some(source) = compiler.and_then(|options| options.get("jsxImportSource")) {
        add(source.as_str().unwrap_or_default(), Scope::Runtime, source.line, found);
    }
}

fn table(root: &Node<'_>, name: &str, found: &mut Collector<'_>) {
    let Some(node) = root.get(name) else { return };
    if node.members().is_none() {
        let message = format!("{name}: expected an object, got {}", node.kind());
        return found.warn(node.line, message);
    }
    entries(node, found);
}

fn entries(table: &Node<'_>, found: &mut Collector<'_>) {
    for entry in table.members().unwrap_or_default() {
        match entry.value.as_str() {
            Some(specifier) => add(specifier, Scope::Runtime, entry.line, found),
            // The HTML standard: an entry that is no URL blocks the module.
            None if entry.value.value == json::Value::Null => {}
            None => {
                let name = text::excerpt(&entry.key);
                let message = format!("`{name}`: expected a string, got {}", entry.value.kind());
                found.warn(entry.line, message);
            }
        }
    }
}

fn add(specifier: &str, scope: Scope, line: u32, found: &mut Collector<'_>) {
    let Some(Specifier { ecosystem, name, range }) = Specifier::read(specifier) else { return };
    let (version, specifier) = version_or_range(range);
    let (direct, scope) = (Some(true), Some(scope));
    found.add_of(ecosystem, Declared { name, version, specifier, line, direct, scope });
}

/// A specifier of a package.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ecosystem) struct Specifier<'a> {
    pub(in crate::ecosystem) ecosystem: Ecosystem,
    pub(in crate::ecosystem) name: &'a str,
    pub(in crate::ecosystem) range: &'a str,
}

impl<'a> Specifier<'a> {
    /// None for a file, a URL or a prefix of packages, such as `jsr:/@std/`.
    pub(in crate::ecosystem) fn read(text: &'a str) -> Option<Self> {
        let (protocol, rest) = text.trim().split_once(':')?;
        let ecosystem = match protocol {
            "npm" => Ecosystem::Npm,
            "jsr" => Ecosystem::Jsr,
            _ => return None,
        };
        let rest = rest.trim_start_matches('/');
        // Everything after the name and the range is a path within the package.
        let begin = if rest.starts_with('@') { rest.find('/')? + 1 } else { 0 };
        let end = rest.get(begin..)?.find('/').map_or(rest.len(), |slash| begin + slash);
        let (name, range) = split_pattern(rest.get(..end)?);
        (!name.is_empty() && !name.ends_with('/')).then_some(Self { ecosystem, name, range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_have_a_registry_a_name_and_a_range() {
        for (text, expected) in [
            ("npm:a@1.2.3", Some((Ecosystem::Npm, "a", "1.2.3"))),
            ("npm:/a@^1/sub/path.js", Some((Ecosystem::Npm, "a", "^1"))),
            ("npm:a", Some((Ecosystem::Npm, "a", ""))),
            ("npm:a/sub", Some((Ecosystem::Npm, "a", ""))),
            ("npm:@s/a@1.2.3/sub", Some((Ecosystem::Npm, "@s/a", "1.2.3"))),
            ("jsr:@s/a@^0.4", Some((Ecosystem::Jsr, "@s/a", "^0.4"))),
            ("jsr:@s/a/mod.ts", Some((Ecosystem::Jsr, "@s/a", ""))),
            ("jsr:/@s/", None),
            ("npm:", None),
            ("./own.ts", None),
            ("node:fs", None),
            ("https://h.example/a@1.0.0/mod.ts", None),
        ] {
            let read = Specifier::read(text);
            let shown = read.map(|read| (read.ecosystem, read.name, read.range));
            assert_eq!(shown, expected, "{text}");
        }
    }
}
