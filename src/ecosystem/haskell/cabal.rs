//! `*.cabal`, by "Package description" of Cabal's reference.
//!
//! What flows in: sections and fields by their indentation. What flows out: what `build-depends` of
//! each section asks for, the tools that it is built with, and what `Setup.hs` needs.
//!
//! Decisions. Test suites are tests, benchmarks development. Conditions are not looked at: what is
//! needed on one system is listed. `base` is a package like any other.
//!
//! What must stay true: the package itself and its libraries are none; a bad line costs only itself.

use super::constraint::Constraint;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::{Scope, Source};
use std::collections::HashSet;

/// Reads `*.cabal`.
#[derive(Debug)]
pub(in crate::ecosystem) struct CabalFile;

impl Parser for CabalFile {
    fn name(&self) -> &'static str {
        "cabal"
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path).strip_suffix(".cabal").is_some_and(|it| !it.is_empty())
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Hackage, Source::Manifest).merging();
        let text = text::decode(file.bytes);
        let own = own_names(&text);
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

/// The package's name, and those of the libraries within it.
fn own_names(text: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for line in text.lines().map(str::trim) {
        let lower = line.to_ascii_lowercase();
        let rest = ["name:", "library ", "foreign-library "]
            .iter()
            .find(|it| lower.starts_with(**it))
            .and_then(|it| line.get(it.len()..));
        // `library` alone has the package's name; a field has a colon.
        names.extend(rest.map(|it| it.trim().to_owned()).filter(|it| !it.contains([':', ' '])));
    }
    names
}

struct Reader<'f, 'c> {
    scope: Scope,
    /// The field that is open: its column and what its elements are for; none where it is of no
    /// interest.
    field: Option<(usize, Option<Scope>)>,
    /// The beginning of an element that goes on, up to a closing brace.
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

    /// The elements of a line. A comma within `{…}` separates libraries of one package.
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
        // A range may go on on a line of its own.
        if text.is_empty() || text.starts_with(['<', '>', '=', '&', '|', '^', '(', ')', '}']) {
            return;
        }
        let Some(Constraint { name, version, range }) = Constraint::read(text) else {
            let message = format!("`{}` is no dependency", text::excerpt(text));
            return self.found.warn(line, message);
        };
        if self.own.contains(name) {
            return;
        }
        let (direct, scope) = (Some(true), Some(scope));
        self.found.add(Declared { name, version, specifier: range, line, direct, scope });
    }
}
