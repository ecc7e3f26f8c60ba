//! Evaluates an entry in a project: its name, version and scope.
//!
//! Input: an entry of a project, or one that it inherits. Output: the package that it requires, if it is not a
//! project of the repository itself. By "Inheritance" and "Dependency Management" of the POM Reference, and
//! Maven's model builder: an inherited entry is evaluated with the properties and the management of the
//! project that inherits it. If a pom of the local cache decides the version, the package names that
//! pom. Invariants: the same entry gives the same result whatever was evaluated before.

use super::{
    inheritance::Inheritance,
    management::{Managed, Management},
    outside::{Outside, Outsiders},
    pom::{Coordinates, Entry},
    repository::Repository,
};
use crate::{ecosystem::text, model::scan_result::Scope};
use std::rc::Rc;

/// A version, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Version {
    Exact(String),
    Range(String),
    Unknown(Unknown),
}

/// A version that is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Unknown {
    pub(super) declared: Option<String>,
    pub(super) why: String,
    /// The poms outside the repository one of which defines it.
    pub(super) outside: Rc<Outsiders>,
}

impl Version {
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(version) => Some(version),
            Self::Range(_) | Self::Unknown(_) => None,
        }
    }

    /// What is declared in place of an exact version.
    pub(super) fn specifier(&self) -> Option<&str> {
        match self {
            Self::Exact(_) => None,
            Self::Range(range) => Some(range),
            Self::Unknown(unknown) => unknown.declared.as_deref(),
        }
    }
}

/// A package that a project requires.
#[derive(Debug, Clone)]
pub(super) struct Evaluated<'a> {
    /// `group:artifact`
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) scope: Scope,
    /// The path of the pom of the local cache that decides the version.
    pub(super) source: Option<&'a str>,
}

impl Evaluated<'_> {
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

    /// The package that an entry requires in a project; none if that is a project of the repository. `holder` is
    /// the pom that contains the entry. The error is an expression in its name that is undefined.
    pub(super) fn entry(
        &self,
        at: usize,
        holder: usize,
        entry: &Entry,
    ) -> Result<Option<Evaluated<'a>>, String> {
        let (group, artifact) = self.repository.name(at, entry)?;
        let manager = self.management.of_entry(at, entry, (&group, &artifact));
        let (version, source) = match &entry.of.version {
            Some(version) => self.version(at, holder, entry.profile, version),
            None => self.unstated(at, entry, manager),
        };
        // An import is only valid in management; Maven rejects it elsewhere.
        let is_own = self.repository.has_project((&group, &artifact), version.exact());
        if entry.is_import() || is_own {
            return Ok(None);
        }
        let scope = entry.scope.as_deref().or_else(|| manager?.entry.scope.as_deref());
        let scope = if entry.builds() { Scope::Build } else { scope_of(scope, entry.optional) };
        Ok(Some(Evaluated { name: format!("{group}:{artifact}"), version, scope, source }))
    }

    /// The version of an entry that states none: of the same plugin in a pom above, else of its manager.
    fn unstated(
        &self,
        at: usize,
        entry: &Entry,
        manager: Option<Managed<'a>>,
    ) -> (Version, Option<&'a str>) {
        let is_plugin = entry.role.is_plugin();
        let above = is_plugin.then(|| self.inheritance.versioned_plugin(at, entry)).flatten();
        let found = above.map(|(holder, plugin)| (at, holder, entry.profile, plugin));
        let found = found.or_else(|| {
            let Managed { project, holder, entry } = manager?;
            Some((project, holder, entry.profile, entry))
        });
        let stated = found.and_then(|(project, holder, profile, by)| {
            Some(self.version(project, holder, profile, by.of.version.as_deref()?))
        });
        stated.unwrap_or_else(|| (unknown(self.management.outside(at, entry)), None))
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
    ) -> Option<Evaluated<'a>> {
        let expand =
            |text: &Option<String>| self.repository.expand(at, profile, text.as_deref()?).ok();
        let (group, artifact) = (expand(&of.group)?, expand(&of.artifact)?);
        let (version, source) = match &of.version {
            Some(version) => self.version_by(at, at, profile, version, || outer),
            None => (unknown(Rc::default()), None),
        };
        let is_own = self.repository.has_project((&group, &artifact), version.exact());
        let name = format!("{group}:{artifact}");
        // Once the work is used up, the projects of the repository are not recognized any more.
        let is_outside = !is_own && !self.repository.is_exhausted();
        is_outside.then_some(Evaluated { name, version, scope: Scope::Build, source })
    }

    /// The expanded version of an entry that the pom `holder` contains, and the pom of the local cache that
    /// decides it.
    fn version(
        &self,
        at: usize,
        holder: usize,
        profile: Option<usize>,
        declared: &str,
    ) -> (Version, Option<&'a str>) {
        self.version_by(at, holder, profile, declared, || self.repository.outer(at))
    }

    fn version_by(
        &self,
        at: usize,
        holder: usize,
        profile: Option<usize>,
        declared: &str,
        outer: impl FnOnce() -> Option<Outside>,
    ) -> (Version, Option<&'a str>) {
        match self.repository.expand_from(at, profile, declared) {
            Ok((version, source)) => {
                let version = of_text(version);
                let is_known = !matches!(version, Version::Unknown(_));
                let source = self.repository.cached(holder).or(source).filter(|_| is_known);
                (version, source)
            }
            Err(expression) => {
                let mut outside = Outsiders::default();
                outside.extend(outer());
                let what = format!("`{}`", text::excerpt(&expression));
                let why = outside.reason(&what, "defined");
                let (declared, outside) = (Some(declared.to_owned()), Rc::new(outside));
                (Version::Unknown(Unknown { declared, why, outside }), None)
            }
        }
    }
}

/// The version of an entry that states none, and that no pom of the repository manages.
fn unknown(outside: Rc<Outsiders>) -> Version {
    let why = outside.reason("the version", "managed");
    Version::Unknown(Unknown { declared: None, why, outside })
}

/// By "Dependency Version Requirement Specification": `[1.0]` allows exactly one version.
pub(super) fn of_text(version: String) -> Version {
    if version.is_empty() {
        return unknown(Rc::default());
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
                let why = "the version is not valid".to_owned();
                Version::Unknown(Unknown { declared: Some(version), why, ..Unknown::default() })
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
