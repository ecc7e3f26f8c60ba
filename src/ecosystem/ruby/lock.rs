//! `Gemfile.lock`, `gems.locked` and the locks of other Gemfiles, by Bundler's `lockfile_parser.rb`.
//!
//! What flows in: the sections with `specs:`, and `DEPENDENCIES`. What flows out: each gem once, though
//! it is listed for each platform, and what it requires. What must stay true: gems of a `PATH` lie in
//! the repository; what those require, and what `DEPENDENCIES` names, is direct.

use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    purl::Ecosystem,
    source::file_name,
    text,
};
use crate::model::scan_result::Source;
use std::collections::{HashMap, HashSet};

/// Reads the locks of Bundler.
#[derive(Debug)]
pub(in crate::ecosystem) struct GemfileLock;

impl Parser for GemfileLock {
    fn name(&self) -> &'static str {
        "gemfile-lock"
    }

    fn wants(&self, path: &str) -> bool {
        let file = file_name(path);
        let of_gemfile = file.starts_with("Gemfile") || file.ends_with(".gemfile.lock");
        file == "gems.locked" || (of_gemfile && file.ends_with(".lock"))
    }

    fn parse(&self, file: SourceFile<'_>) -> Findings {
        let mut found = Collector::new(file, Ecosystem::Gem, Source::Lockfile);
        let text = text::decode(file.bytes);
        let mut lock = Lock::default();
        for (number, line) in (1_u32..).zip(text.lines()) {
            lock.line(number, line, &mut found);
        }
        if !lock.understood && found.has_warnings() {
            return found.unreadable();
        }
        lock.list(&mut found);
        found.finish()
    }
}

/// What the lines below a heading are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Section {
    /// Gems from somewhere else.
    Gems,
    /// Gems of the repository.
    Path,
    Dependencies,
    #[default]
    Other,
}

/// A line of `specs:`.
struct Spec<'a> {
    name: &'a str,
    version: Option<&'a str>,
    line: u32,
    is_own: bool,
    requires: Vec<&'a str>,
}

#[derive(Default)]
struct Lock<'a> {
    section: Section,
    specs: Vec<Spec<'a>>,
    dependencies: HashSet<&'a str>,
    /// Whether the section of the project's own dependencies is there.
    knows_direct: bool,
    understood: bool,
}

impl<'a> Lock<'a> {
    fn line(&mut self, number: u32, line: &'a str, found: &mut Collector<'_>) {
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        let is_own = self.section == Section::Path;
        match (indent, self.section) {
            _ if content.is_empty() => {}
            (0, _) => self.heading(number, content, found),
            (4, Section::Gems | Section::Path) => {
                let (name, version) = name_and_version(content);
                let requires = Vec::new();
                self.specs.push(Spec { name, version, line: number, is_own, requires });
            }
            (6, Section::Gems | Section::Path) => {
                let (name, _) = name_and_version(content);
                if let Some(spec) = self.specs.last_mut() {
                    spec.requires.push(name);
                }
            }
            (2, Section::Dependencies) => {
                self.dependencies.insert(name_and_version(content).0);
            }
            _ => {}
        }
    }

    fn heading(&mut self, number: u32, content: &str, found: &mut Collector<'_>) {
        self.section = match content {
            "GEM" | "GIT" | "PLUGIN SOURCE" => Section::Gems,
            "PATH" => Section::Path,
            "DEPENDENCIES" => {
                self.knows_direct = true;
                Section::Dependencies
            }
            _ if content.starts_with(|it: char| it.is_ascii_uppercase()) => Section::Other,
            _ => {
                // The markers of a merge stand within a section, which goes on behind them.
                let message = format!("`{}` is no section", text::excerpt(content));
                return found.warn(number, message);
            }
        };
        self.understood = true;
    }

    fn list(self, found: &mut Collector<'_>) {
        let own = || self.specs.iter().filter(|it| it.is_own);
        let of_own: HashSet<&str> = own().flat_map(|it| it.requires.iter().copied()).collect();
        let knows_direct = self.knows_direct || own().next().is_some();
        let mut added: HashMap<(&str, Option<&str>), Option<Added>> = HashMap::new();
        let mut by_name: HashMap<&str, Added> = HashMap::new();
        for spec in self.specs.iter().filter(|it| !it.is_own) {
            let Spec { name, version, line, .. } = *spec;
            let is_direct = self.dependencies.contains(name) || of_own.contains(name);
            let taken = added.entry((name, version)).or_insert_with(|| {
                if version.is_none() {
                    found.warn(line, format!("`{}` has no version", text::excerpt(name)));
                }
                let direct = knows_direct.then_some(is_direct);
                let declared = Declared { name, version, line, direct, ..Declared::default() };
                found.take(Ecosystem::Gem, declared)
            });
            if let Some(taken) = taken {
                by_name.entry(name).or_insert(*taken);
            }
        }
        for spec in &self.specs {
            let Some(own) = added.get(&(spec.name, spec.version)).copied().flatten() else {
                continue;
            };
            for required in spec.requires.iter().filter_map(|it| by_name.get(it)) {
                found.requires(own, *required);
            }
        }
    }
}

/// `name (1.2.3-x86_64-linux)`, `name (>= 1)`, `name!`: a version has no dash, so that is where
/// the platform begins.
fn name_and_version(content: &str) -> (&str, Option<&str>) {
    let (name, rest) = content.split_once(' ').unwrap_or((content, ""));
    let version = rest.trim().strip_prefix('(').and_then(|it| it.split([')', '-']).next());
    (name.trim_end_matches('!'), version.filter(|it| !it.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_bundler_are_wanted() {
        for path in
            ["Gemfile.lock", "a/gems.locked", "Gemfile.next.lock", "gemfiles/rails_7.gemfile.lock"]
        {
            assert!(GemfileLock.wants(path), "{path}");
        }
        for path in ["Gemfile", "gems.rb", "Cargo.lock", "a.lock"] {
            assert!(!GemfileLock.wants(path), "{path}");
        }
    }

    #[test]
    fn names_and_versions_are_told_apart() {
        for (line, expected) in [
            ("nokogiri (1.15.0-x86_64-linux)", ("nokogiri", Some("1.15.0"))),
            ("rails (7.0.0.rc1)", ("rails", Some("7.0.0.rc1"))),
            ("mine!", ("mine", None)),
            ("mine (~> 1)!", ("mine", Some("~> 1"))),
        ] {
            assert_eq!(name_and_version(line), expected);
        }
    }
}
