//! `name ==1.2.3`: a package and the versions of it that will do, by "Version constraints" of
//! Cabal's reference.
//!
//! What flows in: one element of a list. What flows out: name, version and range. What must stay true:
//! only `==` without a wildcard is a version.

/// A package and its range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Constraint<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) range: Option<&'a str>,
}

impl<'a> Constraint<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let is_of_name = |it: char| it.is_ascii_alphanumeric() || it == '-';
        let end = text.find(|it| !is_of_name(it)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        // `name-1.2` is no name: what follows is cut off where none can stand.
        if name.is_empty() || !name.bytes().any(|it| it.is_ascii_alphabetic()) {
            return None;
        }
        let range = behind_library(rest)?.trim();
        let version = range.strip_prefix("==").map(str::trim).filter(|it| is_version(it));
        let range = (version.is_none() && !range.is_empty() && range != "-any").then_some(range);
        Some(Self { name, version, range })
    }
}

/// What stands behind `:library` or `:{library, library}`.
fn behind_library(rest: &str) -> Option<&str> {
    let Some(library) = rest.strip_prefix(':') else { return Some(rest) };
    if library.starts_with('{') {
        return library.split_once('}').map(|(_, rest)| rest);
    }
    let end = library.find([' ', '\t', '=', '<', '>', '^']).unwrap_or(library.len());
    library.get(end..)
}

pub(super) fn is_version(text: &str) -> bool {
    text.starts_with(|it: char| it.is_ascii_digit())
        && text.bytes().all(|it| it.is_ascii_digit() || it == b'.')
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
            let read = Constraint::read(text).map(|it| (it.name, it.version, it.range));
            assert_eq!(read, expected, "{text}");
        }
    }
}
