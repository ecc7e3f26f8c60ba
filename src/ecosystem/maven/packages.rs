//! Converts the entries of all poms to packages.
//!
//! Input: the poms of one repository, in any order. Output: the packages that each pom requires, and a
//! warning for each version that no pom of the repository defines. Invariants: a project of the repository
//! is not a package of another one, in the version in the repository; an older released version of it is
//! one.

use super::{
    management::Management,
    pom::{Entry, Pom},
    repository::Repository,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    step::Joining,
    text,
};
use crate::model::{
    ecosystem::Ecosystem,
    scan_result::{Scope, Source},
};

/// Resolves the poms of one repository.
pub(in crate::ecosystem) fn resolve_poms(joining: &mut Joining<'_>) {
    let found = resolve(joining.facts.take(), joining.budget);
    joining.add(found);
}

pub(super) fn resolve(mut poms: Vec<Pom>, budget: &Budget) -> Findings {
    poms.sort_by(|a, b| a.file.cmp(&b.file));
    let repository = Repository::of(&poms, budget);
    let management = Management::of(&repository);
    let mut all = Findings::default();
    for (at, pom) in poms.iter().enumerate() {
        let file = SourceFile { path: &pom.file, bytes: b"", budget };
        let found = Collector::new(file, Ecosystem::Maven, Source::Manifest);
        let mut reader = Reader { repository: &repository, management: &management, at, found };
        for entry in &pom.entries {
            reader.entry(entry);
        }
        let findings = reader.found.finish();
        all.packages.extend(findings.packages);
        all.warnings.extend(findings.warnings);
    }
    if let Some(last) = poms.last().filter(|_| repository.is_exhausted()) {
        let file = SourceFile { path: &last.file, bytes: b"", budget };
        let message = "the poms refer to each other too often; some versions are unknown";
        all.warnings.push(file.warning(None, message));
    }
    all
}

/// A version, as far as it is known.
enum Version {
    Exact(String),
    Range(String),
    /// The declared version, and why it is unknown.
    Unknown(Option<String>, String),
}

struct Reader<'r, 'a> {
    repository: &'r Repository<'a>,
    management: &'r Management<'r, 'a>,
    /// The current pom.
    at: usize,
    found: Collector<'a>,
}

impl Reader<'_, '_> {
    fn entry(&mut self, entry: &Entry) {
        let (group, artifact) = match self.repository.name(self.at, entry) {
            Ok(name) => name,
            Err(unknown) => {
                let message = format!("`{}` is undefined", text::excerpt(&unknown));
                return self.found.warn(entry.line, message);
            }
        };
        let manager = self.management.of_entry(self.at, entry, (&group, &artifact));
        let version = match (&entry.of.version, manager) {
            (Some(version), _) => self.version(self.at, entry, version),
            (None, Some((at, by))) => match &by.of.version {
                Some(version) => self.version(at, by, version),
                None => external(),
            },
            (None, None) => external(),
        };
        // An import is only valid in management; Maven rejects it elsewhere.
        if entry.is_import() || self.is_own((&group, &artifact), &version) {
            return;
        }
        let name = format!("{group}:{artifact}");
        match &version {
            Version::Unknown(None, _) => self.found.defined_elsewhere(entry.line, &name),
            Version::Unknown(Some(_), why) => {
                self.found.warn(entry.line, format!("`{}`: {why}", text::excerpt(&name)));
            }
            Version::Exact(_) | Version::Range(_) => {}
        }
        let (version, specifier) = match &version {
            Version::Exact(version) => (Some(version.as_str()), None),
            Version::Range(range) => (None, Some(range.as_str())),
            Version::Unknown(declared, _) => (None, declared.as_deref()),
        };
        let scope = entry.scope.as_deref().or_else(|| manager?.1.scope.as_deref());
        let scope = if entry.builds { Scope::Build } else { scope_of(scope, entry.optional) };
        let (line, direct, scope) = (entry.line, Some(true), Some(scope));
        self.found.add(Declared { name: &name, version, specifier, line, direct, scope });
    }

    /// The expanded version of an entry.
    fn version(&self, at: usize, entry: &Entry, declared: &str) -> Version {
        match self.repository.expand(at, entry.profile, declared) {
            Ok(version) => of_text(version),
            Err(unknown) => {
                let why =
                    format!("`{}` is defined outside the repository", text::excerpt(&unknown));
                Version::Unknown(Some(declared.to_owned()), why)
            }
        }
    }

    fn is_own(&self, name: (&str, &str), version: &Version) -> bool {
        let version = match version {
            Version::Exact(version) => Some(version.as_str()),
            Version::Range(_) | Version::Unknown(..) => None,
        };
        self.repository.has_project(name, version)
    }
}

fn external() -> Version {
    Version::Unknown(None, "the version is defined outside the repository".to_owned())
}

/// By "Dependency Version Requirement Specification": `[1.0]` allows exactly one version.
fn of_text(version: String) -> Version {
    if version.is_empty() {
        return external();
    }
    if !version.starts_with(['[', '(']) {
        let moving = matches!(version.as_str(), "LATEST" | "RELEASE");
        // The characters that Maven's `DefaultModelValidator` rejects, and the remains of an invalid XML
        // reference. `@…@` is a placeholder that builds of plugins replace before their tests.
        let is_invalid = |character: char| {
            character.is_whitespace() || "\\/:\"<>|?*[](){},&;@".contains(character)
        };
        return match version {
            version if moving => Version::Range(version),
            version if version.contains(is_invalid) => {
                Version::Unknown(Some(version), "the version is not valid".to_owned())
            }
            version => Version::Exact(version),
        };
    }
    let only = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match only.filter(|version| !version.contains([',', '[', '(', ')', ']'])) {
        Some(only) => Version::Exact(only.trim().to_owned()),
        None => Version::Range(version),
    }
}

fn scope_of(scope: Option<&str>, optional: bool) -> Scope {
    match scope {
        Some("test") => Scope::Test,
        Some("provided" | "system") => Scope::Build,
        _ if optional => Scope::Optional,
        _ => Scope::Runtime,
    }
}
