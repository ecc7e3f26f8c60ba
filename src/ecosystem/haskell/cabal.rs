//! `*.cabal`, by "Package description" of Cabal's reference.
//!
//! Input: sections and fields by their indentation. Output: the `build-depends` of each section, the build
//! tools, and the dependencies of `Setup.hs`.
//!
//! Decisions. Test suites have the scope `test`, benchmarks `dev`. Conditions are ignored, so dependencies
//! of one platform are listed. `base` is a package like any other.
//!
//! Invariants: the package itself and its libraries are not packages; a bad line loses only itself.

use super::constraint::Constraint;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashSet;

/// Reads `*.cabal`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CabalFile;

impl Parser for CabalFile {
    fn name(&self) -> &'static str {
        "cabal"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).strip_suffix(".cabal").is_some_and(|stem| !stem.is_empty())
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hackage, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let own = own_names(&text);
        found.describe(name_of(&text), std::iter::empty());
        let mut reader = Reader {
            scope: Scope::Runtime,
            field: None,
            open: String::new(),
            own,
            found: &mut found,
        };
        for (line, content) in (1_u32..).zip(text.lines()) {
            reader.line(content, line);
        }
        found.finish()
    }
}

/// The name of the package.
fn name_of(text: &str) -> Option<&str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, name) = fields.find(|(field, _)| field.trim_end().eq_ignore_ascii_case("name"))?;
    Some(name.trim()).filter(|name| !name.is_empty())
}

/// The names of the package and of its libraries.
fn own_names(text: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for line in text.lines().map(str::trim) {
        let lower = line.to_ascii_lowercase();
        let rest = ["name:", "library ", "foreign-library "]
            .iter()
            .find(|prefix| lower.starts_with(**prefix))
            .and_then(|prefix| line.get(prefix.len()..));
        // `library` without a name is the package itself; a field has a colon.
        names.extend(
            rest.map(|name| name.trim().to_owned()).filter(|name| !name.contains([':', ' '])),
        );
    }
    names
}

struct Reader<'f, 'c> {
    scope: Scope,
    /// The open field: its column and the scope of its elements; no scope for a field that is ignored.
    field: Option<(usize, Option<Scope>)>,
    /// The beginning of an element that continues up to a closing brace.
    open: String,
    own: HashSet<String>,
    found: &'c mut Collector<'f>,
}

impl Reader<'_, '_> {
    fn line(&mut self, content: &str, line: u32) {
        if text::is_merge_marker(content) {
            return self.found.warn(line, text::MERGE_MARKER);
        }
        let text = content.trim();
        if text.is_empty() || text.starts_with("--") {
            return;
        }
        let column = content.len() - content.trim_start().len();
        if let Some((at, scope)) = self.field
            && column > at
        {
            if let Some(scope) = scope {
                self.entries(text, line, scope);
            }
            return;
        }
        self.field = None;
        self.open.clear();
        let Some((name, value)) = text.split_once(':') else {
            if column == 0 {
                self.section(text);
            }
            return;
        };
        let name = name.trim().to_ascii_lowercase();
        let scope = match name.as_str() {
            "build-depends" => Some(self.scope),
            "build-tool-depends" | "build-tools" | "setup-depends" => Some(Scope::Build),
            _ => None,
        };
        self.field = Some((column, scope));
        if let Some(scope) = scope {
            self.entries(value, line, scope);
        }
    }

    fn section(&mut self, text: &str) {
        let kind = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        self.scope = match kind.as_str() {
            "test-suite" => Scope::Test,
            "benchmark" => Scope::Dev,
            "custom-setup" => Scope::Build,
            _ => Scope::Runtime,
        };
    }

    /// Reads the elements of a line. A comma within `{…}` separates libraries of one package.
    fn entries(&mut self, text: &str, line: u32, scope: Scope) {
        const LONGEST: usize = 1000;
        for part in text.split(',') {
            let opens = part.contains('{') && !part.contains('}');
            if !self.open.is_empty() || opens {
                self.open.push_str(part);
                if !part.contains('}') && self.open.len() < LONGEST {
                    continue;
                }
                let whole = std::mem::take(&mut self.open);
                self.entry(&whole, line, scope);
            } else {
                self.entry(part, line, scope);
            }
        }
    }

    fn entry(&mut self, text: &str, line: u32, scope: Scope) {
        let text = text.trim();
        // A line may begin with the continuation of a range.
        if text.is_empty() || text.starts_with(['<', '>', '=', '&', '|', '^', '(', ')', '}']) {
            return;
        }
        let Some(Constraint { name, version, range }) = Constraint::read(text) else {
            let message = format!("`{}` is not a dependency", text::excerpt(text));
            return self.found.warn(line, message);
        };
        if self.own.contains(name) {
            return;
        }
        let (direct, scope) = (Some(true), Some(scope));
        self.found.add(Declared { name, version, specifier: range, line, direct, scope });
    }
}
