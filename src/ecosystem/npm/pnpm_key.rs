//! The keys of `pnpm-lock.yaml`, by pnpm's `dependency-path`.
//!
//! Input: a key or a reference to one, and the version of the lock file. Output: name and version, as far as
//! the key contains them. Invariants: a guess is never a version.

use super::{pattern::split_pattern, spec};

/// The parts of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    /// The whole key, or the part after the name if that is not a version.
    pub(super) reference: &'a str,
}

impl<'a> Key<'a> {
    /// Parses a key of a lock file of this version.
    pub(super) fn of(key: &'a str, version: u32) -> Self {
        let bare = key.split('(').next().unwrap_or(key);
        let (name, reference) = if version >= 9 {
            // A converted lock file may have the slash of earlier versions.
            split_pattern(bare.strip_prefix('/').unwrap_or(bare))
        } else {
            // Packages that are not from the registry have a host first.
            let path = match bare.strip_prefix('/') {
                Some(path) => path,
                None => bare.split_once('/').map_or(bare, |(_, path)| path),
            };
            if version >= 6 { split_pattern(path) } else { split_path(path) }
        };
        if !spec::is_version(reference) {
            let (name, reference) =
                if version >= 9 { (Some(name), reference) } else { (None, bare) };
            let name = name.filter(|_| !reference.is_empty());
            return Self { name, version: None, reference };
        }
        Self { name: Some(name), version: Some(reference), reference }
    }

    /// Whether the key is that of a folder.
    pub(super) fn is_folder(&self) -> bool {
        let archive =
            [".tgz", ".tar.gz", ".tar"].iter().any(|suffix| self.reference.ends_with(suffix));
        let local = ["file:", "link:", "workspace:"];
        local.iter().any(|prefix| self.reference.starts_with(prefix)) && !archive
    }
}

/// Splits `name/1.2.3`, `@scope/name/1.2.3_peer@1` or, of pnpm 2, `name/1.2.3/peer@1`.
fn split_path(path: &str) -> (&str, &str) {
    let begin = if path.starts_with('@') { path.find('/').map_or(0, |slash| slash + 1) } else { 0 };
    let Some(slash) = path.get(begin..).and_then(|rest| rest.find('/')) else { return (path, "") };
    let name = path.get(..begin + slash).unwrap_or_default();
    let rest = path.get(begin + slash + 1..).unwrap_or_default();
    (name, rest.split(['_', '/']).next().unwrap_or(rest))
}

/// The key that a dependency's reference resolves to; none outside of the lock file.
pub(super) fn refers_to(name: &str, reference: &str, version: u32) -> Option<String> {
    if reference.starts_with("link:") || reference.starts_with("workspace:") {
        return None;
    }
    if version < 9 {
        let bare = reference.split('(').next().unwrap_or(reference);
        let is_key = bare.starts_with("file:") || bare.contains('/') && !is_version_of_v5(bare);
        let separator = if version >= 6 { '@' } else { '/' };
        return Some(if is_key {
            reference.to_owned()
        } else {
            format!("/{name}{separator}{reference}")
        });
    }
    let bare = reference.split('(').next().unwrap_or(reference);
    // An alias contains the name of the package; a URL has a colon before any `@`.
    let before_at = bare.get(1..).and_then(|rest| rest.find('@'));
    let is_key =
        before_at.is_some_and(|at| !bare.get(..=at).is_some_and(|before| before.contains(':')));
    Some(if is_key { reference.to_owned() } else { format!("{name}@{reference}") })
}

/// `1.2.3_@scope+peer@1.0.0` of version 5, or `1.2.3/@scope/peer@1` before.
fn is_version_of_v5(reference: &str) -> bool {
    spec::is_version(reference.split(['_', '/']).next().unwrap_or(reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, lock: u32, name: Option<&str>, version: Option<&str>) {
        let read = Key::of(key, lock);
        assert_eq!((read.name, read.version), (name, version), "{key}");
    }

    #[test]
    fn each_version_has_its_keys() {
        check("/a/1.2.3", 5, Some("a"), Some("1.2.3"));
        check("/@s/a/1.2.3-rc.1_@t+b@2.0.0+c@1.0.0", 5, Some("@s/a"), Some("1.2.3-rc.1"));
        check("/a/1.2.3/b@2.0.0", 5, Some("a"), Some("1.2.3"));
        check("registry.example.com/@s/a/1.2.3", 5, Some("@s/a"), Some("1.2.3"));
        check("github.com/u/r/4c8b71f58cb8b9e042d6ab73303d63beee7c522b", 5, None, None);
        check("/@s/a@1.2.3(b@2.0.0)(c@1.0.0)", 6, Some("@s/a"), Some("1.2.3"));
        check("github.com/u/r/4c8b71f58cb8b9e042d6ab73303d63beee7c522b", 6, None, None);
        check("@s/a@1.2.3", 9, Some("@s/a"), Some("1.2.3"));
        check("/@s/a@1.2.3", 9, Some("@s/a"), Some("1.2.3"));
        check("a@https://codeload.github.com/u/a/tar.gz/4c8b71f", 9, Some("a"), None);
        check("file:../own", 6, None, None);
        assert!(Key::of("file:../own", 6).is_folder());
        assert!(Key::of("own@file:own", 9).is_folder());
        assert!(!Key::of("own@file:own-1.0.0.tgz", 9).is_folder());
    }

    #[test]
    fn references_lead_to_keys() {
        for (name, reference, lock, key) in [
            ("a", "1.0.0_b@2.0.0", 5, Some("/a/1.0.0_b@2.0.0")),
            ("a", "1.0.0_@s+b@2.0.0", 5, Some("/a/1.0.0_@s+b@2.0.0")),
            ("a", "/b/1.0.0", 5, Some("/b/1.0.0")),
            ("a", "github.com/u/r/4c8b71f", 5, Some("github.com/u/r/4c8b71f")),
            ("a", "1.0.0(@s/b@2.0.0)", 6, Some("/a@1.0.0(@s/b@2.0.0)")),
            ("a", "/b@1.0.0", 6, Some("/b@1.0.0")),
            ("a", "1.0.0(@s/b@2.0.0)", 9, Some("a@1.0.0(@s/b@2.0.0)")),
            ("a", "@s/b@1.0.0", 9, Some("@s/b@1.0.0")),
            ("a", "b@1.0.0(c@1.0.0)", 9, Some("b@1.0.0(c@1.0.0)")),
            ("a", "https://h/@x/a.tgz", 9, Some("a@https://h/@x/a.tgz")),
            ("a", "link:../a", 9, None),
        ] {
            assert_eq!(refers_to(name, reference, lock).as_deref(), key, "{reference}");
        }
    }
}
