//! The entries of all poms become packages.
//!
//! What flows in: the poms of one repository, in any order. What flows out: the packages that
//! each asks for, and a warning for each version that nothing in the repository states. What must
//! stay true: a project of the repository is no package of another one, in the version that lies
//! there; an older version of itself, from outside, is one.

use super::{
    management::Management,
    pom::{Entry, Pom},
    repository::Repository,
};
use crate::ecosystem::{
    Findings, SourceFile,
    budget::Budget,
    collect::{Collector, Declared},
    purl::Ecosystem,
    text,
};
use crate::model::scan_result::{Scope, Source};

/// The packages of the poms of one repository.
pub(in crate::ecosystem) fn resolve(mut poms: Vec<Pom>, budget: &Budget) -> Findings {
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
        let message = "the poms refer to each other too often: some versions are left open";
        all.warnings.push(file.warning(None, message));
    }
    all
}

/// What is said of a version.
enum Version {
    Exact(String),
    Range(String),
    /// What is declared, and why it tells nothing.
    Open(Option<String>, String),
}

struct Reader<'r, 'a> {
    repository: &'r Repository<'a>,
    management: &'r Management<'r, 'a>,
    /// The pom at hand.
    at: usize,
    found: Collector<'a>,
}

impl Reader<'_, '_> {
    fn entry(&mut self, entry: &Entry) {
        let (group, artifact) = match self.repository.name(self.at, entry) {
            Ok(name) => name,
            Err(unknown) => {
                let message = format!("`{}` is not defined here", text::excerpt(&unknown));
                return self.found.warn(entry.line, message);
            }
        };
        let manager = self.management.of_entry(self.at, entry, (&group, &artifact));
        let version = match (&entry.of.version, manager) {
            (Some(version), _) => self.version(self.at, entry, version),
            (None, Some((at, by))) => match &by.of.version {
                Some(version) => self.version(at, by, version),
                None => elsewhere(),
            },
            (None, None) => elsewhere(),
        };
        // An import belongs to management alone; Maven refuses it elsewhere.
        if entry.is_import() || self.is_own((&group, &artifact), &version) {
            return;
        }
        let name = format!("{group}:{artifact}");
        if let Version::Open(_, why) = &version {
            self.found.warn(entry.line, format!("`{}`: {why}", text::excerpt(&name)));
        }
        let (version, specifier) = match &version {
            Version::Exact(version) => (Some(version.as_str()), None),
            Version::Range(range) => (None, Some(range.as_str())),
            Version::Open(declared, _) => (None, declared.as_deref()),
        };
        let scope = entry.scope.as_deref().or_else(|| manager?.1.scope.as_deref());
        let scope = if entry.builds { Scope::Build } else { scope_of(scope, entry.optional) };
        let (line, direct, scope) = (entry.line, Some(true), Some(scope));
        self.found.add(Declared { name: &name, version, specifier, line, direct, scope });
    }

    /// A version as a project reads it.
    fn version(&self, at: usize, entry: &Entry, declared: &str) -> Version {
        match self.repository.expand(at, entry.profile, declared) {
            Ok(version) => of_text(version),
            Err(unknown) => {
                let why = format!("`{}` is defined elsewhere", text::excerpt(&unknown));
                Version::Open(Some(declared.to_owned()), why)
            }
        }
    }

    fn is_own(&self, name: (&str, &str), version: &Version) -> bool {
        let version = match version {
            Version::Exact(version) => Some(version.as_str()),
            Version::Range(_) | Version::Open(..) => None,
        };
        self.repository.has_project(name, version)
    }
}

fn elsewhere() -> Version {
    Version::Open(None, "the version is managed elsewhere".to_owned())
}

/// By "Dependency Version Requirement Specification": `[1.0]` allows but that one.
fn of_text(version: String) -> Version {
    if version.is_empty() {
        return elsewhere();
    }
    if !version.starts_with(['[', '(']) {
        let moving = matches!(version.as_str(), "LATEST" | "RELEASE");
        // What Maven's `DefaultModelValidator` refuses, and what XML leaves of a bad reference.
        // `@…@` is what a build of plugins puts in place before its tests.
        let refused = |it: char| it.is_whitespace() || "\\/:\"<>|?*[](){},&;@".contains(it);
        return match version {
            version if moving => Version::Range(version),
            version if version.contains(refused) => {
                Version::Open(Some(version), "the version is none".to_owned())
            }
            version => Version::Exact(version),
        };
    }
    let only = version.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match only.filter(|it| !it.contains([',', '[', '(', ')', ']'])) {
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
