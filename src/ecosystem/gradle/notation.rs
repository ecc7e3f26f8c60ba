//! How a module is written: `group:name:version:classifier@extension`, or in named parts.
//!
//! What flows in: the parts, in which names may stand for texts (`${…}`). What flows out: the
//! module, with a version or what is known of it. What must stay true: a version that cannot be
//! told does not cost the module.

use super::names::Names;
use crate::ecosystem::text;
use std::sync::Arc;

/// A module as a script asks for it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Module {
    /// `group:name`.
    pub(super) name: Arc<str>,
    pub(super) version: Option<Arc<str>>,
    /// What is declared where it is no single version.
    pub(super) range: Option<Arc<str>>,
    /// Why there is no version, where there should be one.
    pub(super) open: Option<String>,
}

/// Reads a module in one text. The error says what is wrong with it.
pub(super) fn read(notation: &str, names: &Names<'_>) -> Result<Module, String> {
    // A name may stand for a whole notation.
    let expanded = names.expand(notation);
    let notation = expanded.as_deref().unwrap_or(notation);
    let mut parts = parts(notation);
    let (Some(group), Some(name)) = (parts.next(), parts.next()) else {
        return Err(match &expanded {
            Err(unknown) => format!("`{}` has no one value here", text::excerpt(unknown)),
            Ok(_) => format!("`{}` is no module", text::excerpt(notation)),
        });
    };
    let name = name.split('@').next().unwrap_or(name);
    let version = parts.next().map(|it| it.split('@').next().unwrap_or(it));
    of_parts(group, name, version, names)
}

/// Reads a module whose parts are given apart.
pub(super) fn of_parts(
    group: &str,
    name: &str,
    version: Option<&str>,
    names: &Names<'_>,
) -> Result<Module, String> {
    let unknown = |it: String| format!("`{}` has no one value here", text::excerpt(&it));
    let group = names.expand(group).map_err(unknown)?;
    let name = names.expand(name).map_err(unknown)?;
    let mut module = Module { name: format!("{group}:{name}").into(), ..Module::default() };
    match version.filter(|it| !it.is_empty()).map(|it| (it, names.expand(it))) {
        Some((_, Ok(version))) => module.set_version(&version),
        Some((declared, Err(it))) => {
            module.range = Some(declared.into());
            module.open = Some(unknown(it));
        }
        None => {}
    }
    Ok(module)
}

impl Module {
    /// By "Declaring Versions and Ranges": `1.0!!` is strict, `[1.0]` one version; `1.+`,
    /// `latest.release` and intervals are many.
    pub(super) fn set_version(&mut self, declared: &str) {
        let declared = declared.trim();
        let version = declared.split("!!").next().unwrap_or(declared);
        let only = version.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let version = only.unwrap_or(version);
        let is_range = version.contains(['[', ']', '(', ')', ',', ' ']) || version.ends_with('+');
        if version.is_empty() || is_range || version.starts_with("latest.") {
            self.range = Some(declared).filter(|it| !it.is_empty()).map(Into::into);
        } else {
            self.version = Some(version.into());
        }
        self.open = None;
    }
}

/// Splits at the colons that are not inside `${…}`.
fn parts(notation: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    notation.split(move |it| {
        match it {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        it == ':' && !inside
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
            Ok(it) => {
                let range = it.range.map(|it| format!("range {it}"));
                let said = it.version.map(|it| it.to_string()).or(range);
                format!("{} {}", it.name, said.unwrap_or_else(|| "any".to_owned()))
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
        check("g:a:[1.0,2.0)!!1.5", "g:a range [1.0,2.0)!!1.5");
        check("g:a:[1.5]", "g:a 1.5");
        check("g:a:1.+", "g:a range 1.+");
        check("g:a:1.0+build", "g:a 1.0+build");
        check("g:a:latest.release", "g:a range latest.release");
        check("g:a:${v}", "g:a range ${v}");
        check("${x}", "`${x}` has no one value here");
        check("word", "`word` is no module");
    }
}
