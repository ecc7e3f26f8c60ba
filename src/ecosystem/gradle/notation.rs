//! Parses module notations: `group:name:version:classifier@extension`, or named parts.
//!
//! Input: the parts, which may contain names (`${…}`). Output: the module, with its version as far as it is
//! known. Invariants: a module with an unknown version is kept.

use super::{
    names::Names,
    version::{Declared, Rich},
};
use crate::ecosystem::text;
use std::sync::Arc;

/// A module that a script requires.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Module {
    /// `group:name`.
    pub(super) name: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    /// The declared range, where it is not a single version.
    pub(super) range: Option<Arc<str>>,
    /// Why the version is unknown, where one is declared.
    pub(super) problem: Option<String>,
}

/// Parses a notation in one text. The error message describes the problem.
pub(super) fn read(notation: &str, names: &Names<'_>) -> Result<Module, String> {
    // The whole notation may be a name.
    let expanded = names.expand(notation);
    let notation = expanded.as_deref().unwrap_or(notation);
    let mut parts = parts(notation);
    let (Some(group), Some(name)) = (parts.next(), parts.next()) else {
        return Err(match &expanded {
            Err(name) => unknown(name),
            Ok(_) => format!("`{}` is not a module", text::excerpt(notation)),
        });
    };
    let name = name.split('@').next().unwrap_or(name);
    let version = parts.next().map(|version| version.split('@').next().unwrap_or(version));
    of_parts(group, name, version, names)
}

/// Parses a module from separate parts.
pub(super) fn of_parts(
    group: &str,
    name: &str,
    version: Option<&str>,
    names: &Names<'_>,
) -> Result<Module, String> {
    let group = names.expand(group).map_err(|name| unknown(&name))?;
    let name = names.expand(name).map_err(|name| unknown(&name))?;
    let mut module = Module { name: format!("{group}:{name}").into(), ..Module::default() };
    if let Some(declared) = version.filter(|version| !version.is_empty()) {
        module.declare(declared, names);
    }
    Ok(module)
}

fn unknown(name: &str) -> String {
    format!("`{}` has no single value here", text::excerpt(name))
}

impl Module {
    /// Whether neither a version nor a range is declared.
    pub(super) fn is_unversioned(&self) -> bool {
        self.version.is_none() && self.range.is_none()
    }

    /// Applies a rich version, which replaces a declared one.
    pub(super) fn apply(&mut self, rich: &Rich, names: &Names<'_>) {
        if let Some(fixed) = &rich.fixed {
            self.declare(fixed, names);
        }
        if let Some(preferred) = rich.preferred.as_ref().filter(|_| self.version.is_none()) {
            self.declare(preferred, names);
        }
    }

    /// Sets the version as it is declared.
    fn declare(&mut self, declared: &str, names: &Names<'_>) {
        match names.expand(declared) {
            Ok(version) => self.set_version(&version),
            Err(name) => {
                self.version = None;
                self.range = Some(declared.into());
                self.problem = Some(unknown(&name));
            }
        }
    }

    fn set_version(&mut self, declared: &str) {
        let (version, range) = match Declared::of(declared) {
            Some(Declared::Exact(version)) => (Some(version), None),
            Some(Declared::Range(range)) => (None, Some(range)),
            None => (None, None),
        };
        self.version = version.map(Into::into);
        self.range = range.map(Into::into);
        self.problem = None;
    }
}

/// Splits at colons outside of `${…}`.
fn parts(notation: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    notation.split(move |character| {
        match character {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        character == ':' && !inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::{
        budget::Budget,
        gradle::{names::Builds, script::GradleFile},
    };

    #[track_caller]
    fn check(notation: &str, expected: &str) {
        let file = GradleFile::default();
        let builds = Builds::of(&[]);
        let shown = match read(notation, &builds.names(&file, Budget::alone(1 << 20))) {
            Ok(module) => {
                let range = module.range.map(|range| format!("range {range}"));
                let said = module.version.map(|version| version.to_string()).or(range);
                format!("{} {}", module.name, said.unwrap_or_else(|| "any".to_owned()))
            }
            Err(why) => why,
        };
        assert_eq!(shown, expected, "{notation}");
    }

    #[test]
    fn modules_are_read() {
        check("g:a:1.0", "g:a 1.0");
        check("g:a:1.0:sources@zip", "g:a 1.0");
        check("g:a@aar", "g:a any");
        check("g:a:1.0!!", "g:a 1.0");
        check("g:a:[1.0,2.0)!!1.5", "g:a 1.5");
        check("g:a:[1.5]", "g:a 1.5");
        check("g:a:1.+", "g:a range 1.+");
        check("g:a:1.0+build", "g:a 1.0+build");
        check("g:a:latest.release", "g:a range latest.release");
        check("g:a:${v}", "g:a range ${v}");
        check("${x}", "`${x}` has no single value here");
        check("word", "`word` is not a module");
    }
}
