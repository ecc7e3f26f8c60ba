//! Parses `name ==1.2.3`, by "Version constraints" of Cabal's reference.
//!
//! Input: one element of a list. Output: name, version and range. Invariants: only `==` without a wildcard
//! gives a version.

/// A package and its version range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Constraint<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) range: Option<&'a str>,
}

impl<'a> Constraint<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '-';
        let end = text.find(|character| !is_of_name(character)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        // A name has a letter in it: `1.2` is not a name.
        if name.is_empty() || !name.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let range = behind_library(rest)?.trim();
        let version = range.strip_prefix("==").map(str::trim).filter(|version| is_version(version));
        let range = (version.is_none() && !range.is_empty() && range != "-any").then_some(range);
        Some(Self { name, version, range })
    }
}

/// The text after `:library` or `:{library, library}`.
fn behind_library(rest: &str) -> Option<&str> {
    let Some(library) = rest.strip_prefix(':') else { return Some(rest) };
    if library.starts_with('{') {
        return library.split_once('}').map(|(_, rest)| rest);
    }
    let end = library.find([' ', '\t', '=', '<', '>', '^']).unwrap_or(library.len());
    library.get(end..)
}

pub(super) fn is_version(text: &str) -> bool {
    text.starts_with(|character: char| character.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_version_is_exact() {
        for (text, expected) in [
            ("base >=4.7 && <5", Some(("base", None, Some(">=4.7 && <5")))),
            ("text==1.2.4.1", Some(("text", Some("1.2.4.1"), None))),
            ("aeson == 2.*", Some(("aeson", None, Some("== 2.*")))),
            ("lens", Some(("lens", None, None))),
            ("lens -any", Some(("lens", None, None))),
            ("foo:{a, b} ^>= 1.2", Some(("foo", None, Some("^>= 1.2")))),
            ("foo:bar >=1", Some(("foo", None, Some(">=1")))),
            ("hspec-discover:hspec-discover == 2.7", Some(("hspec-discover", Some("2.7"), None))),
            ("<<<<<<< HEAD", None),
            ("1.0", None),
            ("", None),
        ] {
            let read = Constraint::read(text)
                .map(|constraint| (constraint.name, constraint.version, constraint.range));
            assert_eq!(read, expected, "{text}");
        }
    }
}
