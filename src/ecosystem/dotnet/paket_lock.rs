//! `paket.lock`, by "The paket.lock file" of Paket's manual.
//!
//! Input: the sections of each group. Output: the packages of `NUGET` and their dependencies. Invariants:
//! files and repositories (`GITHUB`, `GIT`, `HTTP`) are not packages of a registry; a dependency refers to a
//! package of its own group.

use crate::ecosystem::{
    Findings, Pairing, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};
use std::collections::HashMap;

/// Reads `paket.lock`.
#[derive(Debug)]
pub(in crate::ecosystem) struct PaketLock;

impl Parser for PaketLock {
    fn name(&self) -> &'static str {
        "paket-lock"
    }

    /// Its lines are kept until all of them have been read.
    fn reads_lock_files(&self) -> bool {
        false
    }

    fn wants(&self, path: &str) -> bool {
        file_name(path) == "paket.lock"
    }

    fn pairing<'p>(&self, path: &'p str) -> Pairing<'p> {
        Pairing::of(path).with("paket")
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let found = Collector::new(file, Ecosystem::NuGet, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut reader = Reader {
            found,
            groups: HashMap::new(),
            group: 0,
            scope: None,
            in_packages: false,
            understood: false,
            package: None,
            known: HashMap::new(),
            required: Vec::new(),
        };
        for (number, line) in (1_u32..).zip(text.lines()) {
            reader.line(number, line);
        }
        reader.finish()
    }
}

struct Reader<'a, 'f> {
    found: Collector<'f>,
    /// The groups by name in lower case. Each line refers to its group by number.
    groups: HashMap<String, usize>,
    /// The current group, 0 for the main group, and its scope.
    group: usize,
    scope: Option<Scope>,
    in_packages: bool,
    understood: bool,
    /// The package whose dependencies follow.
    package: Option<Added>,
    known: HashMap<(usize, String), Added>,
    required: Vec<(Added, usize, &'a str)>,
}

impl<'a> Reader<'a, '_> {
    fn line(&mut self, number: u32, line: &'a str) {
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        match indent {
            _ if content.is_empty() => {}
            0 => self.section(number, content),
            // `remote:`, `specs:` and similar lines.
            1..=3 => {}
            4 | 5 if self.in_packages => self.package(number, content),
            _ if self.in_packages => {
                let name = content.split(' ').next().unwrap_or(content);
                self.required.extend(self.package.map(|package| (package, self.group, name)));
            }
            _ => {}
        }
    }

    fn section(&mut self, number: u32, content: &str) {
        if let Some(group) = content.strip_prefix("GROUP ") {
            let name = group.trim().to_ascii_lowercase();
            self.scope = match name.as_str() {
                "" => None,
                "test" | "tests" => Some(Scope::Test),
                "build" => Some(Scope::Build),
                _ => Some(Scope::Dev),
            };
            let next = self.groups.len() + 1;
            self.group = if name.is_empty() { 0 } else { *self.groups.entry(name).or_insert(next) };
        } else if !content.starts_with(|character: char| character.is_ascii_uppercase()) {
            // A merge conflict marker is inside a section, which continues after it.
            let message = format!("`{}` is not a section", text::excerpt(content));
            return self.found.warn(number, message);
        }
        self.package = None;
        self.in_packages = content == "NUGET";
        self.understood = true;
    }

    /// `FSharp.Core (6.0.3) - restriction: >= net45`.
    fn package(&mut self, line: u32, content: &str) {
        let (name, rest) = content.split_once(' ').unwrap_or((content, ""));
        let version = rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let version = version.map(|(version, _)| version);
        if version.is_none() {
            self.found.warn(line, format!("`{}` has no version", text::excerpt(name)));
        }
        let scope = self.scope;
        let declared = Declared { name, version, line, scope, ..Declared::default() };
        self.package = self.found.take(Ecosystem::NuGet, declared);
        if let Some(added) = self.package {
            self.known.insert((self.group, name.to_ascii_lowercase()), added);
        }
    }

    fn finish(mut self) -> Findings {
        for (package, group, name) in std::mem::take(&mut self.required) {
            if let Some(required) = self.known.get(&(group, name.to_ascii_lowercase())) {
                self.found.requires(package, *required);
            }
        }
        if !self.understood && self.found.has_warnings() {
            return self.found.unreadable();
        }
        self.found.finish()
    }
}
