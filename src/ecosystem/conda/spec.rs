//! One entry of an environment, by "Package match specifications" of conda's manual.
//!
//! Input: `channel::name=version=build` in any of its forms. Output: the name, and the version if the entry
//! states one. Invariants: a text that does not begin with a name is not a specification.

/// The name and version of a match specification.
#[derive(Debug, PartialEq)]
pub(super) struct Spec<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) specifier: Option<&'a str>,
}

impl<'a> Spec<'a> {
    /// `channel/subdir:namespace:name version build`, or with `=` between the last three.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if text.contains("://") {
            return Self::of_archive(text);
        }
        let text = text.rsplit_once("::").map_or(text, |(_, rest)| rest).trim();
        let allowed = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
        };
        let end = text.find(|character| !allowed(character)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if !name
            .starts_with(|character: char| character.is_ascii_alphanumeric() || character == '_')
        {
            return None;
        }
        let rest = rest.trim();
        let none = Self { name, version: None, specifier: None };
        if let Some(attributes) = rest.strip_prefix('[') {
            let version =
                attributes.split_once("version=").map(|(_, rest)| rest).unwrap_or_default();
            let version = version.trim_start_matches(['"', '\'']);
            let version = version.split(['"', '\'', ']']).next().unwrap_or_default();
            return Some(Self {
                specifier: Some(version).filter(|version| !version.is_empty()),
                ..none
            });
        }
        let is_range =
            rest.starts_with(['>', '<', '!', '~', '*']) || rest.contains([',', '|', '*']);
        if rest.is_empty() || is_range {
            return Some(Self { specifier: Some(rest).filter(|range| !range.is_empty()), ..none });
        }
        let exact = rest.strip_prefix("==");
        let version = exact.or_else(|| rest.strip_prefix('=')).unwrap_or(rest).trim();
        // The build follows the version.
        let mut parts = version.split(['=', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let version = parts.next()?;
        let has_build = parts.next().is_some();
        if !version.starts_with(|character: char| character.is_ascii_alphanumeric()) {
            return None;
        }
        // A single `=` without a build matches any version with this prefix.
        let fuzzy = exact.is_none() && !has_build && rest.starts_with('=');
        Some(Self { name, version: Some(version), specifier: fuzzy.then_some(rest) })
    }

    /// Parses the address of a package: `…/name-version-build.conda`.
    pub(super) fn of_archive(address: &'a str) -> Option<Self> {
        let file = address.split('#').next()?.rsplit('/').next()?;
        let stem = file.strip_suffix(".conda").or_else(|| file.strip_suffix(".tar.bz2"))?;
        let mut parts = stem.rsplitn(3, '-').skip(1);
        let version = Some(parts.next()?);
        Some(Self { name: parts.next()?, version, specifier: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_specifications_are_parsed() {
        for (text, expected) in [
            ("numpy", Some(("numpy", None, None))),
            ("numpy=1.26.4", Some(("numpy", Some("1.26.4"), Some("=1.26.4")))),
            ("numpy==1.26.4", Some(("numpy", Some("1.26.4"), None))),
            ("numpy=1.26.4=py312_0", Some(("numpy", Some("1.26.4"), None))),
            ("numpy 1.26.4 py312_0", Some(("numpy", Some("1.26.4"), None))),
            ("numpy 1.26.4", Some(("numpy", Some("1.26.4"), None))),
            ("numpy >=1.20, <2", Some(("numpy", None, Some(">=1.20, <2")))),
            ("numpy=1.26.*", Some(("numpy", None, Some("=1.26.*")))),
            ("conda-forge::numpy=1.26", Some(("numpy", Some("1.26"), Some("=1.26")))),
            ("conda-forge/linux-64::numpy", Some(("numpy", None, None))),
            ("numpy[version='>=1.20',build=x]", Some(("numpy", None, Some(">=1.20")))),
            ("https://h.example/linux-64/a-b-1.0-py_0.tar.bz2", Some(("a-b", Some("1.0"), None))),
            ("=1.0", None),
            ("<<<<<<< HEAD", None),
            ("{{ x }}", None),
        ] {
            let expected =
                expected.map(|(name, version, specifier)| Spec { name, version, specifier });
            assert_eq!(Spec::read(text), expected, "{text}");
        }
    }
}
