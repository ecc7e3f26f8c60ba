//! References of images, by the grammar of the `distribution/reference` package.
//!
//! What flows in: `registry/path/name:tag@digest`. What flows out: name, version, and what was asked
//! for beside. Decisions: a digest names one image, so it is the version where there is one, and the
//! tag is kept as specifier; a tag with a variable in it is a specifier alone.
//!
//! What must stay true: a reference whose name is not whole is none.

use crate::ecosystem::{
    collect::{Collector, Declared},
    purl::Ecosystem,
};
use crate::model::scan_result::Scope;
use std::collections::HashSet;

/// An image, as a reference names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Image<'a> {
    name: &'a str,
    version: Option<&'a str>,
    specifier: Option<&'a str>,
}

/// The images of a file, each once.
#[derive(Debug, Default)]
pub(in crate::ecosystem) struct Images {
    seen: HashSet<String>,
}

impl Images {
    /// An image that is made here, and no package.
    pub(in crate::ecosystem) fn leave_out(&mut self, reference: &str) {
        self.seen.insert(reference.trim().to_owned());
    }

    /// Adds the image of a reference; says whether it is one.
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
}

/// Reads a reference; none where its name is not whole.
fn read(reference: &str) -> Option<Image<'_>> {
    let reference = reference.trim();
    let variable = reference.find("{{").into_iter().chain(reference.find('$')).min();
    let (known, is_whole) = match variable {
        Some(at) => (reference.get(..at)?, false),
        None => (reference, true),
    };
    let (before_digest, digest) = match known.split_once('@') {
        Some((before, digest)) => (before, Some(digest)),
        None => (known, None),
    };
    let path = before_digest.rfind('/').map_or(0, |it| it + 1);
    let colon = before_digest.get(path..)?.find(':').map(|it| path + it);
    let name = before_digest.get(..colon.unwrap_or(before_digest.len()))?;
    if !is_name(name) || (!is_whole && digest.is_none() && colon.is_none()) {
        return None;
    }
    let tag = colon.and_then(|it| before_digest.get(it + 1..)).filter(|it| !it.is_empty());
    if !is_whole {
        return Some(Image { name, version: None, specifier: reference.get(name.len() + 1..) });
    }
    Some(match digest.filter(|it| !it.is_empty()) {
        Some(digest) => Image { name, version: Some(digest), specifier: tag },
        None => Image { name, version: tag, specifier: None },
    })
}

fn is_name(name: &str) -> bool {
    // The host of a registry may have a port.
    let path = name.split_once('/').filter(|(host, _)| host.contains(':')).map_or(name, |it| it.1);
    let is_part = |part: &str| {
        part.starts_with(|it: char| it.is_ascii_alphanumeric())
            && part.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-".contains(&it))
    };
    path.split('/').all(is_part)
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"._-:/".contains(&it))
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
    fn variables_leave_a_specifier_where_the_name_is_whole() {
        check("a/b:$TAG", "a/b", None, Some("$TAG"));
        check("a/b:1.${MINOR:-2}-x", "a/b", None, Some("1.${MINOR:-2}-x"));
        check("a@${DIGEST}", "a", None, Some("${DIGEST}"));
        check("a:{{ .Values.tag }}", "a", None, Some("{{ .Values.tag }}"));
        for none in ["$A/b:1", "a/$B", "a-${B}:1", "{{ x }}", "", "<none>", "a b", "a//b", "-a"] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
