//! Values with a default: a property of the build, of the system or of the environment, and the value that a build
//! without that property has.
//!
//! Input: the tokens of a Groovy, Kotlin or Scala script. Output: `System.getProperty("x", "1")` is `1`;
//! `findProperty("x") ?: "1"`, `providers.gradleProperty("x").getOrElse("1")` and `hasProperty("x") ? x : "1"` are
//! `${x?:1}`, because the build may define `x`. Sources: "Build Environment" of Gradle's manual, `scala.sys`.
//! Invariants: a default is a text or a name; the work for one value is bounded.

use super::{Tokens, operand::plain_operand};

/// Calls and names in a chain.
const MAX_CHAIN: usize = 16;

/// Methods with a name and a default: `System.getProperty("x", "1")`, `sys.props.getOrElse("x", "1")`.
const WITH_DEFAULT: [&str; 3] = ["getProperty", "getOrElse", "getOrDefault"];

/// Methods that return their argument if there is no value before them.
const OTHERWISE: [&str; 2] = ["getOrElse", "orElse"];

/// Methods that return a property of the build.
const PROPERTIES: [&str; 5] =
    ["gradleProperty", "findProperty", "property", "properties", "hasProperty"];

/// What precedes a default.
#[derive(Default)]
struct Chain {
    /// The property of the build, or the path of names.
    name: Option<String>,
    default: Option<String>,
    end: usize,
}

/// Reads a value with a default, and returns its end.
pub(super) fn read(tokens: &Tokens<'_>, at: usize) -> Option<(String, usize)> {
    let is_in_brackets = tokens.is_mark(at, '(');
    let mut chain = Chain::read(tokens, at + usize::from(is_in_brackets))?;
    chain.end = behind_cast(tokens, chain.end);
    chain.elvis(tokens);
    if is_in_brackets {
        if !tokens.is_mark(chain.end, ')') {
            return None;
        }
        chain.end = behind_cast(tokens, chain.end + 1);
        chain.elvis(tokens);
    }
    let default = chain.default?;
    let value = match chain.name {
        // The form `${name?:default}` holds texts alone.
        Some(_) if default.contains(['$', '{', '}', ':']) => return None,
        Some(name) => format!("${{{name}?:{default}}}"),
        None => default,
    };
    Some((value, chain.end))
}

/// The index behind `as String?`, if it begins at `at`.
pub(super) fn behind_cast(tokens: &Tokens<'_>, at: usize) -> usize {
    if tokens.word(at) != Some("as") {
        return at;
    }
    let type_at = at + 1 + usize::from(tokens.is_mark(at + 1, '?'));
    if tokens.word(type_at).is_none() {
        return at;
    }
    let is_nullable = tokens.is_mark(type_at + 1, '?') && !tokens.is_mark(type_at + 2, ':');
    type_at + 1 + usize::from(is_nullable)
}

impl Chain {
    fn read(tokens: &Tokens<'_>, at: usize) -> Option<Self> {
        let mut chain = Self::default();
        let mut path = tokens.word(at)?.to_owned();
        let (mut last, mut at) = (tokens.word(at)?, at + 1);
        let mut has_calls = false;
        for _ in 0..MAX_CHAIN {
            match (tokens.mark(at), tokens.word(at + 1)) {
                (Some('.'), Some(word)) => {
                    path = format!("{path}.{word}");
                    (last, at) = (word, at + 2);
                }
                (Some('(' | '['), _) => {
                    has_calls = true;
                    chain.call(tokens, last, at);
                    at = tokens.behind_bracket(at);
                }
                _ => break,
            }
        }
        if !has_calls {
            chain.name = Some(path);
        }
        chain.end = at;
        if last == "hasProperty" {
            chain.condition(tokens);
        }
        Some(chain)
    }

    /// Reads the arguments of a call.
    fn call(&mut self, tokens: &Tokens<'_>, method: &str, bracket: usize) {
        let first = tokens.skip_lines(bracket + 1);
        let closes = |at: usize| matches!(tokens.mark(tokens.skip_lines(at)), Some(')' | ']'));
        if let Some(name) = tokens.text(first) {
            if PROPERTIES.contains(&method) && closes(first + 1) {
                self.name = Some(name.to_owned());
                return;
            }
            if tokens.is_mark(first + 1, ',') && WITH_DEFAULT.contains(&method) {
                let default = plain_operand(tokens, tokens.skip_lines(first + 2));
                self.default = default.filter(|(_, end)| closes(*end)).map(|(value, _)| value);
                return;
            }
        }
        if OTHERWISE.contains(&method) {
            let default = plain_operand(tokens, first);
            self.default = default.filter(|(_, end)| closes(*end)).map(|(value, _)| value);
        }
    }

    /// Reads `?: default`, any number of times: the last one counts.
    fn elvis(&mut self, tokens: &Tokens<'_>) {
        for _ in 0..MAX_CHAIN {
            let mark = tokens.skip_lines(self.end);
            if !(tokens.is_mark(mark, '?') && tokens.is_mark(mark + 1, ':')) {
                return;
            }
            let default = plain_operand(tokens, tokens.skip_lines(mark + 2));
            let Some((value, end)) = default else { return };
            (self.default, self.end) = (Some(value), end);
        }
    }

    /// Reads `? value : default` behind `hasProperty`.
    fn condition(&mut self, tokens: &Tokens<'_>) {
        let mark = tokens.skip_lines(self.end);
        if !tokens.is_mark(mark, '?') {
            return;
        }
        let Some((_, colon)) = plain_operand(tokens, mark + 1) else { return };
        let colon = tokens.skip_lines(colon);
        let default = plain_operand(tokens, colon + 1).filter(|_| tokens.is_mark(colon, ':'));
        if let Some((value, end)) = default {
            (self.default, self.end) = (Some(value), end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::script::{self, Dialect};

    #[track_caller]
    fn check(dialect: Dialect, text: &str, expected: Option<&str>) {
        let tokens = script::tokens(text, dialect);
        let found = read(&tokens, 0);
        assert_eq!(found.as_ref().map(|(value, _)| value.as_str()), expected, "{text}");
        if let Some((_, end)) = found {
            assert!(tokens.ends_line(end), "{text}: the end is {end}");
        }
    }

    #[test]
    fn properties_of_the_system_have_their_default() {
        check(Dialect::Groovy, "System.getProperty('a', '1')", Some("1"));
        check(Dialect::Groovy, "System.getProperty(\n'a',\n'1'\n)", Some("1"));
        check(Dialect::Groovy, "System.getenv('A') ?: '1'", Some("1"));
        check(Dialect::Kotlin, "System.getenv(\"A\") ?: b.c", Some("${b.c}"));
        check(Dialect::Kotlin, "System.getenv().getOrDefault(\"A\", \"1\")", Some("1"));
        check(Dialect::Kotlin, "providers.systemProperty(\"a\").orElse(\"1\").get()", Some("1"));
        check(Dialect::Scala, "sys.props.getOrElse(\"a\", \"1\")", Some("1"));
        check(Dialect::Scala, "sys.env.get(\"A\").getOrElse(\"1\")", Some("1"));
        check(Dialect::Scala, "Option(System.getProperty(\"a\")).getOrElse(\"1\")", Some("1"));
    }

    #[test]
    fn properties_of_the_build_precede_the_default() {
        for text in [
            "findProperty('a') ?: '1'",
            "project.findProperty('a') ?: '1'",
            "(project.findProperty('a') ?: '1')",
            "properties['a'] ?: '1'",
            "project.hasProperty('a') ? project.a : '1'",
            "hasProperty('a') ? property('a') : '1'",
        ] {
            check(Dialect::Groovy, text, Some("${a?:1}"));
        }
        for text in [
            "findProperty(\"a\") as String? ?: \"1\"",
            "(findProperty(\"a\") as? String) ?: \"1\"",
            "(project.findProperty(\"a\") as String?) ?: \"1\"",
            "providers.gradleProperty(\"a\").getOrElse(\"1\")",
            "providers.gradleProperty(\"a\").orElse(\"1\").get()",
        ] {
            check(Dialect::Kotlin, text, Some("${a?:1}"));
        }
        check(Dialect::Groovy, "a.b ?: '1'", Some("${a.b?:1}"));
    }

    #[test]
    fn other_values_have_no_default() {
        check(Dialect::Groovy, "System.getProperty('a')", None);
        check(Dialect::Groovy, "findProperty('a')", None);
        check(Dialect::Groovy, "a.b", None);
        check(Dialect::Groovy, "'a'", None);
        check(Dialect::Groovy, "(a ?: '1'", None);
        check(Dialect::Groovy, "f('a', '1')", None);
        check(Dialect::Groovy, "findProperty('a') ?: 'g:a:1'", None);
        check(Dialect::Groovy, "System.getProperty('a', f(b))", None);
    }
}
