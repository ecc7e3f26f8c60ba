//! Image references, by the grammar of the `distribution/reference` package.
//!
//! Input: `registry/path/name:tag@digest`. Output: name, version and specifier. Decisions: a digest
//! identifies one image, so it is the version, and the tag beside it is the specifier; a tag or digest with a
//! variable in it, or with a character that the grammar forbids, is only a specifier.
//!
//! Invariants: a reference with an incomplete name is rejected.

use crate::ecosystem::{
    collect::{Collector, Declared},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};
use std::collections::HashSet;

/// The parts of an image reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Image<'a> {
    name: &'a str,
    version: Option<&'a str>,
    specifier: Option<&'a str>,
}

/// The images of a file, each added once.
#[derive(Debug, Default)]
pub(in crate::ecosystem) struct Images {
    seen: HashSet<String>,
}

impl Images {
    /// Excludes an image that is built here, so it is not a package.
    pub(in crate::ecosystem) fn exclude(&mut self, reference: &str) {
        self.seen.insert(reference.trim().to_owned());
    }

    /// Adds the image of a reference. Returns whether the reference is valid.
    pub(in crate::ecosystem) fn add(
        &mut self,
        reference: &str,
        line: u32,
        scope: Scope,
        found: &mut Collector<'_>,
    ) -> bool {
        found.budget().read(reference.len());
        let Some(Image { name, version, specifier }) = read(reference) else { return false };
        if self.seen.insert(reference.trim().to_owned()) {
            let (direct, scope) = (Some(true), Some(scope));
            let declared = Declared { name, version, specifier, line, direct, scope };
            found.add_of(Ecosystem::Docker, declared);
        }
        true
    }

    /// As [`add`](Self::add). A reference that is not valid gives a warning, unless a variable is in it.
    pub(in crate::ecosystem) fn add_or_warn(
        &mut self,
        reference: &str,
        line: u32,
        scope: Scope,
        found: &mut Collector<'_>,
    ) {
        let is_valid = self.add(reference, line, scope, found);
        if !is_valid && !reference.trim().is_empty() && unknown_at(reference).is_none() {
            found.warn(line, format!("`{}` is not an image name", text::excerpt(reference)));
        }
    }
}

/// The name of an image, and its version, or else its specifier, as its package has them.
pub(in crate::ecosystem) fn name_and_tag(reference: &str) -> Option<(&str, Option<&str>)> {
    let Image { name, version, specifier } = read(reference)?;
    Some((name, version.or(specifier)))
}

/// Parses a reference; none if its name is incomplete.
fn read(reference: &str) -> Option<Image<'_>> {
    let reference = reference.trim();
    let variable = unknown_at(reference);
    let (known, is_whole) = match variable {
        Some(at) => (reference.get(..at)?, false),
        None => (reference, true),
    };
    let (before_digest, digest) = match known.split_once('@') {
        Some((before, digest)) => (before, Some(digest)),
        None => (known, None),
    };
    let path = before_digest.rfind('/').map_or(0, |slash| slash + 1);
    let colon = before_digest.get(path..)?.find(':').map(|offset| path + offset);
    let name = before_digest.get(..colon.unwrap_or(before_digest.len()))?;
    if !is_name(name) || (!is_whole && digest.is_none() && colon.is_none()) {
        return None;
    }
    let tag = colon.and_then(|colon| before_digest.get(colon + 1..)).filter(|tag| !tag.is_empty());
    if !is_whole {
        return Some(Image { name, version: None, specifier: reference.get(name.len() + 1..) });
    }
    Some(match digest.filter(|digest| !digest.is_empty()) {
        Some(digest) if is_digest(digest) => Image { name, version: Some(digest), specifier: tag },
        Some(digest) => Image { name, version: None, specifier: Some(digest) },
        None => {
            let version = tag.filter(|tag| is_tag(tag));
            Image { name, version, specifier: tag.filter(|_| version.is_none()) }
        }
    })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`: the OCI distribution specification, "Pulling manifests".
fn is_tag(tag: &str) -> bool {
    let is_of_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    tag.len() <= 128 && !tag.starts_with(['.', '-']) && tag.bytes().all(is_of_tag)
}

/// `algorithm:hexadecimal`.
fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hash)| {
        algorithm.starts_with(|first: char| first.is_ascii_alphabetic())
            && !hash.is_empty()
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Where the first variable or placeholder begins: `$TAG`, `{{ tag }}`, `{% if … %}`, `<%= tag %>`,
/// `<< parameters.tag >>`, `@TAG@`.
fn unknown_at(reference: &str) -> Option<usize> {
    let opened = ["$", "{{", "{%", "<%", "<<"].into_iter().filter_map(|open| reference.find(open));
    opened.chain(substituted_at(reference)).min()
}

/// Where a placeholder of Autoconf or `CMake` begins: `@NAME@`. A digest has no `@` at its end.
fn substituted_at(reference: &str) -> Option<usize> {
    let at = reference.find('@')?;
    let (name, _) = reference.get(at + 1..)?.split_once('@')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some(at)
}

fn is_name(name: &str) -> bool {
    // The host may have a port.
    let path =
        name.split_once('/').filter(|(host, _)| host.contains(':')).map_or(name, |parts| parts.1);
    let is_part = |part: &str| {
        part.starts_with(|character: char| character.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.split('/').all(is_part)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, name: &str, version: Option<&str>, specifier: Option<&str>) {
        assert_eq!(read(reference), Some(Image { name, version, specifier }), "{reference}");
    }

    #[test]
    fn references_have_name_tag_and_digest() {
        check("nginx", "nginx", None, None);
        check("nginx:1.25", "nginx", Some("1.25"), None);
        check("h.example:5000/a/b:x", "h.example:5000/a/b", Some("x"), None);
        check("localhost:5000/a", "localhost:5000/a", None, None);
        check("a/b@sha256:00", "a/b", Some("sha256:00"), None);
        check("a/b:1@sha256:00", "a/b", Some("sha256:00"), Some("1"));
    }

    #[test]
    fn a_variable_in_the_tag_gives_a_specifier() {
        check("a/b:$TAG", "a/b", None, Some("$TAG"));
        check("a/b:1.${MINOR:-2}-x", "a/b", None, Some("1.${MINOR:-2}-x"));
        check("a@${DIGEST}", "a", None, Some("${DIGEST}"));
        check("a:{{ .Values.tag }}", "a", None, Some("{{ .Values.tag }}"));
        check("a:<%= v -%>-x", "a", None, Some("<%= v -%>-x"));
        check("a:@TAG@", "a", None, Some("@TAG@"));
        check("a:<< parameters.tag >>", "a", None, Some("<< parameters.tag >>"));
        for none in ["$A/b:1", "a/$B", "a-${B}:1", "{{ x }}", "", "<none>", "a b", "a//b", "-a"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_no_version() {
        check("a:#{TAG}", "a", None, Some("#{TAG}"));
        check("a/b:%TAG%", "a/b", None, Some("%TAG%"));
        check("a:<tag>", "a", None, Some("<tag>"));
        check("a:.1", "a", None, Some(".1"));
        check("a@sha256:<digest>", "a", None, Some("sha256:<digest>"));
        check("a:_1", "a", Some("_1"), None);
    }
}
