//! Evaluates an entry in a project: its name, version and scope.
//!
//! Input: an entry of a project, or one that it inherits. Output: the package that it requires, if it is not a
//! project of the repository itself. By "Inheritance" and "Dependency Management" of the POM Reference, and
//! Maven's model builder: an inherited entry is evaluated with the properties and the management of the
//! project that inherits it. Invariants: the same entry gives the same result whatever was evaluated before.

use super::{
    inheritance::Inheritance,
    management::Management,
    outside::{Outside, Outsiders},
    pom::{Coordinates, Entry},
    repository::Repository,
};
use crate::{ecosystem::text, model::scan_result::Scope};

/// A version, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Version {
    Exact(String),
    Range(String),
    /// The declared version, and why it is unknown.
    Unknown(Option<String>, String),
}

impl Version {
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(version) => Some(version),
            Self::Range(_) | Self::Unknown(..) => None,
        }
    }

    /// What is declared in place of an exact version.
    pub(super) fn specifier(&self) -> Option<&str> {
        match self {
            Self::Exact(_) => None,
            Self::Range(range) => Some(range),
            Self::Unknown(declared, _) => declared.as_deref(),
        }
    }
}

/// A package that a project requires.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    /// `group:artifact`
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) scope: Scope,
}

impl Evaluated {
    /// Whether two projects require the same, whatever the reasons of unknown versions.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name
            && self.scope == other.scope
            && self.version.exact() == other.version.exact()
            && self.version.specifier() == other.version.specifier()
    }
}

/// Evaluates the entries of a repository's projects, which are identified by their index.
pub(super) struct Evaluator<'r, 'a> {
    repository: &'r Repository<'a>,
    management: Management<'r, 'a>,
    inheritance: &'r Inheritance<'r, 'a>,
}

impl<'r, 'a> Evaluator<'r, 'a> {
    pub(super) fn of(inheritance: &'r Inheritance<'r, 'a>, repository: &'r Repository<'a>) -> Self {
        Self { repository, management: Management::of(repository), inheritance }
    }

    /// The package that an entry requires in a project; none if that is a project of the repository. The error
    /// is an expression in its name that is undefined.
    pub(super) fn entry(&self, at: usize, entry: &Entry) -> Result<Option<Evaluated>, String> {
        let (group, artifact) = self.repository.name(at, entry)?;
        let manager = self.management.of_entry(at, entry, (&group, &artifact));
        let above = || {
            let is_plugin = entry.role.is_plugin() && entry.of.version.is_none();
            is_plugin.then(|| self.inheritance.versioned_plugin(at, entry)).flatten()
        };
        let version = match (&entry.of.version, above(), manager) {
            (Some(version), _, _) => self.version(at, entry, version),
            (None, Some(Entry { of: Coordinates { version: Some(version), .. }, .. }), _) => {
                self.version(at, entry, version)
            }
            (None, _, Some((project, by))) if by.of.version.is_some() => {
                self.version(project, by, by.of.version.as_deref().unwrap_or_default())
            }
            (None, ..) => unknown(&self.management.outside(at, entry)),
        };
        // An import is only valid in management; Maven rejects it elsewhere.
        let is_own = self.repository.has_project((&group, &artifact), version.exact());
        if entry.is_import() || is_own {
            return Ok(None);
        }
        let scope = entry.scope.as_deref().or_else(|| manager?.1.scope.as_deref());
        let scope = if entry.builds() { Scope::Build } else { scope_of(scope, entry.optional) };
        Ok(Some(Evaluated { name: format!("{group}:{artifact}"), version, scope }))
    }

    /// A parent or an imported BOM outside the repository; none if it is a project of the repository. Its
    /// version is the only one that the file states for what it manages. `outer` is the parent that may define
    /// the version of a BOM.
    pub(super) fn source(
        &self,
        at: usize,
        profile: Option<usize>,
        of: &Coordinates,
        outer: Option<Outside>,
    ) -> Option<Evaluated> {
        let expand =
            |text: &Option<String>| self.repository.expand(at, profile, text.as_deref()?).ok();
        let (group, artifact) = (expand(&of.group)?, expand(&of.artifact)?);
        let version = match &of.version {
            Some(version) => self.version_by(at, profile, version, || outer),
            None => unknown(&Outsiders::default()),
        };
        let is_own = self.repository.has_project((&group, &artifact), version.exact());
        let name = format!("{group}:{artifact}");
        // Once the work is used up, the projects of the repository are not recognized any more.
        let is_outside = !is_own && !self.repository.is_exhausted();
        is_outside.then_some(Evaluated { name, version, scope: Scope::Build })
    }

    /// The expanded version of an entry.
    fn version(&self, at: usize, entry: &Entry, declared: &str) -> Version {
        self.version_by(at, entry.profile, declared, || self.repository.outer(at))
    }

    fn version_by(
        &self,
        at: usize,
        profile: Option<usize>,
        declared: &str,
        outer: impl FnOnce() -> Option<Outside>,
    ) -> Version {
        match self.repository.expand(at, profile, declared) {
            Ok(version) => of_text(version),
            Err(expression) => {
                let mut outside = Outsiders::default();
                outside.extend(outer());
                let what = format!("`{}`", text::excerpt(&expression));
                Version::Unknown(Some(declared.to_owned()), outside.reason(&what, "defined"))
            }
        }
    }
}

/// The version of an entry that states none, and that no pom of the repository manages.
fn unknown(outside: &Outsiders) -> Version {
    Version::Unknown(None, outside.reason("the version", "managed"))
}

/// By "Dependency Version Requirement Specification": `[1.0]` allows exactly one version.
pub(super) fn of_text(version: String) -> Version {
    if version.is_empty() {
        return unknown(&Outsiders::default());
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
        Some("test" | "test-only" | "test-runtime") => Scope::Test,
        Some("provided" | "system" | "compile-only") => Scope::Build,
        _ if optional => Scope::Optional,
        _ => Scope::Runtime,
    }
}
