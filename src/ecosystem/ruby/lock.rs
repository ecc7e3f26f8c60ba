//! `Gemfile.lock`, `gems.locked` and lock files of other Gemfiles, by Bundler's `lockfile_parser.rb`.
//!
//! Input: the sections with `specs:`, and `DEPENDENCIES`. Output: each gem once, although it is listed for each
//! platform, and its dependencies. Invariants: gems of a `PATH` are part of the repository; their
//! dependencies, and the gems in `DEPENDENCIES`, are direct.

use super::own::OwnGems;
use crate::ecosystem::{
    Findings, Parser, SourceFile,
    collect::{Added, Collector, Declared},
    path::file_name,
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Source};
use std::collections::{HashMap, HashSet};

/// Reads lock files of Bundler.
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
        let own = lock.specs.iter().filter(|spec| spec.is_own && found.budget().visit());
        if let Some(own) = OwnGems::of(file.path, own.map(|spec| spec.name)) {
            found.keep(own);
        }
        lock.list(&mut found);
        found.finish()
    }
}

/// Entries, and dependencies of all entries, that are kept; this bounds the memory.
const MAX_SPECS: usize = 250_000;
const MAX_REQUIRED: usize = 1_000_000;

/// The kind of a section.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Section {
    /// External gems.
    Gems,
    /// Gems of the repository.
    Path,
    Dependencies,
    /// Digests of archives, since Bundler 2.6.
    Checksums,
    #[default]
    Other,
}

/// An entry of `specs:`.
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
    /// The digests of a gem, by name and version.
    checksums: HashMap<(&'a str, Option<&'a str>), Vec<&'a str>>,
    /// Whether the file states the project's own dependencies.
    knows_direct: bool,
    understood: bool,
    /// The number of dependencies of all entries.
    required: usize,
}

impl<'a> Lock<'a> {
    fn line(&mut self, number: u32, line: &'a str, found: &mut Collector<'_>) {
        let content = line.trim();
        let indent = line.len() - line.trim_start().len();
        let is_own = self.section == Section::Path;
        match (indent, self.section) {
            _ if content.is_empty() => {}
            (0, _) => self.heading(number, content, found),
            (4 | 6, Section::Gems | Section::Path)
                if self.specs.len() >= MAX_SPECS || self.required >= MAX_REQUIRED =>
            {
                found.warn(number, "too many entries; the rest is skipped");
                self.section = Section::Other;
            }
            (4, Section::Gems | Section::Path) => {
                let (name, version) = name_and_version(content);
                let requires = Vec::new();
                self.specs.push(Spec { name, version, line: number, is_own, requires });
            }
            (6, Section::Gems | Section::Path) => {
                let (name, _) = name_and_version(content);
                if let Some(spec) = self.specs.last_mut() {
                    self.required += 1;
                    spec.requires.push(name);
                }
            }
            (2, Section::Dependencies) => {
                self.dependencies.insert(name_and_version(content).0);
            }
            (2, Section::Checksums) => {
                // `name (version-platform) sha256=digits,sha512=digits`
                if let Some((of, digests)) = content.rsplit_once(") ") {
                    let digests = digests.split(',');
                    self.checksums.entry(name_and_version(of)).or_default().extend(digests);
                }
            }
            _ => {}
        }
    }

    fn heading(&mut self, number: u32, content: &str, found: &mut Collector<'_>) {
        self.section = match content {
            "GEM" | "GIT" | "PLUGIN SOURCE" => Section::Gems,
            "PATH" => Section::Path,
            "CHECKSUMS" => Section::Checksums,
            "DEPENDENCIES" => {
                self.knows_direct = true;
                Section::Dependencies
            }
            _ if content.starts_with(|character: char| character.is_ascii_uppercase()) => {
                Section::Other
            }
            _ => {
                // A merge conflict marker is inside a section, which continues after it.
                let message = format!("`{}` is not a section", text::excerpt(content));
                return found.warn(number, message);
            }
        };
        self.understood = true;
    }

    fn list(self, found: &mut Collector<'_>) {
        let own = || self.specs.iter().filter(|spec| spec.is_own);
        let of_own: HashSet<&str> = own().flat_map(|spec| spec.requires.iter().copied()).collect();
        let knows_direct = self.knows_direct || own().next().is_some();
        let mut added: HashMap<(&str, Option<&str>), Option<Added>> = HashMap::new();
        let mut by_name: HashMap<&str, Added> = HashMap::new();
        for spec in self.specs.iter().filter(|spec| !spec.is_own) {
            let Spec { name, version, line, .. } = *spec;
            let is_direct = self.dependencies.contains(name) || of_own.contains(name);
            let taken = added.entry((name, version)).or_insert_with(|| {
                // Bundler always writes the version of a gem.
                if version.is_none() {
                    let name = text::excerpt(name);
                    found.warn(line, format!("`{name}` has no version and is skipped"));
                    return None;
                }
                let direct = knows_direct.then_some(is_direct);
                let declared = Declared { name, version, line, direct, ..Declared::default() };
                let added = found.take(Ecosystem::Gem, declared);
                for digest in self.checksums.get(&(name, version)).into_iter().flatten() {
                    found.hash(added, digest);
                }
                added
            });
            if let Some(taken) = taken {
                by_name.entry(name).or_insert(*taken);
            }
        }
        for spec in &self.specs {
            let Some(own) = added.get(&(spec.name, spec.version)).copied().flatten() else {
                continue;
            };
            for required in spec.requires.iter().filter_map(|name| by_name.get(name)) {
                found.requires(own, *required);
            }
        }
    }
}

/// Splits `name (1.2.3-x86_64-linux)`, `name (>= 1)` or `name!`. A version contains no dash, so the platform
/// begins after it.
fn name_and_version(content: &str) -> (&str, Option<&str>) {
    let (name, rest) = content.split_once(' ').unwrap_or((content, ""));
    let version = rest.trim().strip_prefix('(').and_then(|rest| rest.split([')', '-']).next());
    (name.trim_end_matches('!'), version.filter(|version| !version.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundler_files_are_wanted() {
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
    fn names_and_versions_are_split() {
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
