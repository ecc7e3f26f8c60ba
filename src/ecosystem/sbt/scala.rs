//! The version of Scala of a build definition.
//!
//! Input: the tokens and constants of a file. Output: the value of `scalaVersion`, unexpanded, and the first and
//! last elements of `crossScalaVersions` as constants. Source: "Cross-building" of sbt's manual. Invariants:
//! nothing is run; what is not derived from literals has no value.

use crate::ecosystem::script::{self, Constants, Tokens};

/// The key of the versions that a project is built for, as an expression names it.
const ALL: &str = "crossScalaVersions.value";

/// Reads `scalaVersion := …`; the one of the whole build where there are several.
pub(super) fn read(tokens: &Tokens<'_>, constants: &mut Constants) -> Option<String> {
    let mut first = None;
    let mut of_build = None;
    for at in (0..tokens.len()).filter(|at| is_assigned(tokens, *at)) {
        let value_at = tokens.skip_lines(at + 2);
        let (key, is_of_build) = key(tokens, at);
        match key {
            Some("scalaVersion") => {
                let Some(value) = value(tokens, value_at) else { continue };
                let version = if is_of_build { &mut of_build } else { &mut first };
                version.get_or_insert(value);
            }
            Some("crossScalaVersions") => {
                if let Some([head, last]) = script::ends_of_list(tokens, value_at) {
                    constants.define(&format!("{ALL}.head"), &head);
                    constants.define(&format!("{ALL}.last"), &last);
                } else if let Some((list, _)) = script::value(tokens, value_at)
                    && let Some(name) =
                        list.strip_prefix("${").and_then(|name| name.strip_suffix('}'))
                {
                    constants.define(&format!("{ALL}.head"), &format!("${{{name}.head}}"));
                    constants.define(&format!("{ALL}.last"), &format!("${{{name}.last}}"));
                }
            }
            _ => {}
        }
    }
    of_build.or(first)
}

/// Whether `:=` begins at this index.
fn is_assigned(tokens: &Tokens<'_>, at: usize) -> bool {
    tokens.is_mark(at, ':') && tokens.is_mark(at + 1, '=')
}

/// The key before `:=`, and whether it is that of the whole build: `ThisBuild / key`, `key in ThisBuild`.
fn key<'a>(tokens: &Tokens<'a>, assigned: usize) -> (Option<&'a str>, bool) {
    let word = |back: usize| tokens.word(assigned.checked_sub(back)?);
    let is_mark =
        |back: usize| assigned.checked_sub(back).is_some_and(|at| tokens.is_mark(at, '/'));
    if word(2) == Some("in") {
        return (word(3), word(1) == Some("ThisBuild"));
    }
    (word(1), is_mark(2) && word(3) == Some("ThisBuild"))
}

/// A text, a name, an element of a list, or the default of a setting of the environment.
fn value(tokens: &Tokens<'_>, at: usize) -> Option<String> {
    if let Some([head, last]) = script::ends_of_list(tokens, at) {
        let behind = tokens.behind_bracket(at + 1);
        return match tokens.word(behind + 1).filter(|_| tokens.is_mark(behind, '.')) {
            Some("head") => Some(head),
            Some("last") => Some(last),
            _ => None,
        };
    }
    let (value, end) = script::value(tokens, at)?;
    if value.ends_with(".getOrElse}") {
        // `sys.props.getOrElse("name", "2.13.14")`
        let default = tokens.elements(end).pop()?;
        return script::value(tokens, default.start).map(|(value, _)| value);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::Dialect;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let tokens = script::tokens(text, Dialect::Scala);
        let mut constants = Constants::of(&tokens);
        let version = read(&tokens, &mut constants);
        let version = version.and_then(|version| constants.expand(&version).ok());
        assert_eq!(version.as_deref(), expected, "{text}");
    }

    #[test]
    fn literals_determine_the_version() {
        for text in [
            "scalaVersion := \"2.13.14\"",
            "ThisBuild / scalaVersion := \"2.13.14\"",
            "scalaVersion in ThisBuild := \"2.13.14\"",
            "lazy val core = project.settings(scalaVersion := \"3.3.1\")\nThisBuild / scalaVersion := \"2.13.14\"",
            "val scala213 = \"2.13.14\"\nscalaVersion := scala213",
            "crossScalaVersions := Seq(\"2.13.14\", \"3.3.1\")\nscalaVersion := crossScalaVersions.value.head",
            "val v213 = \"2.13.14\"\nval all = List(\n  v213,\n  \"3.3.1\",\n)\nscalaVersion := all.head",
            "ThisBuild / scalaVersion := all.last\nlazy val all = Seq(\"2.12.1\", \"2.13.14\")",
            "val all = Seq(\"2.13.14\")\ncrossScalaVersions := all\nscalaVersion := crossScalaVersions.value.head",
            "object V { val all = Vector(\"2.13.14\", \"3.3.1\") }\nscalaVersion := V.all.head",
            "scalaVersion := Seq(\"2.13.14\", \"3.3.1\").head",
            "scalaVersion := sys.props.getOrElse(\"scala.version\", \"2.13.14\")",
            "val root = project.settings(\n  scalaVersion :=\n    \"2.13.14\",\n)",
        ] {
            check(text, Some("2.13.14"));
        }
        check("scalaVersion := computed()", None);
        check("scalaVersion := crossScalaVersions.value.head", None);
        check("crossScalaVersions := Seq(\"2.13.14\")", None);
    }
}
