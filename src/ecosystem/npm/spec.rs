//! npm's package specifications: the right side of a dependency.
//!
//! Input: `^1.2.3`, `npm:other@1`, `user/repo#tag`, a URL. Output: the package, and whether the specification
//! is an exact version. The forms are those of "npm help package-spec" and of the `dependencies` section of
//! "npm help package.json", plus the prefixes of other package managers that read `package.json`.
//! Invariants: a guess is never a version. `catalog:` stays a specifier until the catalogs are known.

use crate::ecosystem::git_reference;

/// The meaning of a specification.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spec<'a> {
    /// A folder or file beside the project, or a workspace: not a package.
    Local,
    Package {
        /// The real name, where the specification is an alias (`npm:name@range`).
        alias_of: Option<&'a str>,
        /// The only version or commit that matches.
        version: Option<&'a str>,
        /// The specification, if it is not an exact version.
        specifier: Option<&'a str>,
    },
}

/// Parses the specification of the package `name`.
pub(super) fn read<'a>(name: &str, spec: &'a str) -> Spec<'a> {
    let spec = spec.trim();
    if let Some(target) = spec.strip_prefix("npm:") {
        let (alias_of, range) = split_alias(target);
        return match exact(range) {
            Some(version) => package(alias_of, Some(version), None),
            None => package(alias_of, None, Some(range)),
        };
    }
    if let Some(version) = spec.strip_prefix("patch:").and_then(patched) {
        return package(None, Some(version), None);
    }
    if is_local(spec) {
        return Spec::Local;
    }
    if let Some(version) = exact(spec) {
        return package(None, Some(version), None);
    }
    let version = if is_git(spec) {
        spec.split_once('#').and_then(|(_, reference)| git_reference::commit(reference))
    } else if is_web(spec) {
        version_of_tarball(spec, name)
    } else {
        None
    };
    package(None, version, version.is_none().then_some(spec))
}

fn package<'a>(
    alias_of: Option<&'a str>,
    version: Option<&'a str>,
    specifier: Option<&'a str>,
) -> Spec<'a> {
    Spec::Package { alias_of, version, specifier }
}

/// Splits `name@range`; the `@` of a scope is not a separator. A range without a name is not an alias, but
/// only names the registry.
fn split_alias(target: &str) -> (Option<&str>, &str) {
    match target.rsplit_once('@') {
        Some((name, range)) if !name.is_empty() => (Some(name), range),
        _ if target.starts_with(is_range_start) => (None, target),
        _ => (Some(target), ""),
    }
}

/// Whether a text after `npm:` begins like a range and not like a name.
pub(super) fn is_range_start(first: char) -> bool {
    first.is_ascii_digit() || "^~<>=*".contains(first)
}

/// The version in a patch of yarn: `name@npm%3A1.2.3#./name.patch`.
fn patched(source: &str) -> Option<&str> {
    let source = source.split('#').next().unwrap_or(source);
    let (_, range) = source.rsplit_once('@')?;
    let bare = range.strip_prefix("npm:").or_else(|| range.strip_prefix("npm%3A"));
    exact(bare.unwrap_or(range))
}

/// Whether the specification names a file, a folder or another workspace.
pub(super) fn is_local(spec: &str) -> bool {
    const PREFIXES: [&str; 4] = ["workspace:", "file:", "link:", "portal:"];
    let lower = spec.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
        || spec.starts_with(['.', '/', '\\'])
        || spec.starts_with("~/")
        || is_windows_path(spec)
        || (is_archive(&lower) && !is_web(spec) && !is_git(spec))
}

fn is_windows_path(spec: &str) -> bool {
    let mut chars = spec.chars();
    chars.next().is_some_and(|character| character.is_ascii_alphabetic())
        && chars.next() == Some(':')
        && matches!(chars.next(), Some('/' | '\\'))
}

fn is_archive(lower: &str) -> bool {
    [".tgz", ".tar.gz", ".tar"].iter().any(|suffix| lower.ends_with(suffix))
}

fn is_web(spec: &str) -> bool {
    spec.starts_with("https://") || spec.starts_with("http://")
}

/// Whether the specification is a git URL or a shorthand of a git host.
pub(super) fn is_git(spec: &str) -> bool {
    const PREFIXES: [&str; 8] =
        ["git+", "git:", "git@", "ssh:", "github:", "gitlab:", "bitbucket:", "gist:"];
    let address = spec.split('#').next().unwrap_or(spec);
    if PREFIXES.iter().any(|prefix| spec.starts_with(prefix))
        || (is_web(spec) && address.strip_suffix(".git").is_some())
    {
        return true;
    }
    // `user/repo` is a repository on GitHub.
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    address.split_once('/').is_some_and(|(user, repository)| plain(user) && plain(repository))
}

/// The version in the name of a tarball, as registries name them: `…/-/name-1.2.3.tgz`.
pub(super) fn version_of_tarball<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let path = address.split(['?', '#']).next()?;
    let file = path.rsplit(['/', ':']).next()?;
    let stem = file.strip_suffix(".tgz").or_else(|| file.strip_suffix(".tar.gz"))?;
    let base_name = name.rsplit('/').next()?;
    let version = stem.strip_prefix(base_name)?.strip_prefix('-')?;
    is_version(version).then_some(version)
}

/// The version, if a range allows exactly one: `1.2.3`, `=1.2.3`, `v1.2.3`.
pub(super) fn exact(range: &str) -> Option<&str> {
    let range = range.trim();
    let version = range.strip_prefix('=').unwrap_or(range).trim_start();
    let version = version.strip_prefix('v').unwrap_or(version);
    is_version(version).then_some(version)
}

/// Whether a text is a complete version by Semantic Versioning 2.0.0, sections 2, 9 and 10.
pub(super) fn is_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').unwrap_or((text, "0"));
    let (core, pre_release) = text.split_once('-').unwrap_or((text, "0"));
    let dotted = |text: &str| {
        text.split('.').all(|part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    core.split('.').count() == 3
        && core
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        && dotted(pre_release)
        && dotted(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &str, alias_of: Option<&str>, version: Option<&str>, specifier: Option<&str>) {
        assert_eq!(read("@s/left-pad", spec), package(alias_of, version, specifier), "{spec}");
    }

    #[test]
    fn versions_and_ranges() {
        for spec in ["1.2.3", "=1.2.3", "v1.2.3", " = v1.2.3 "] {
            check(spec, None, Some("1.2.3"), None);
        }
        check("1.2.3-rc.1+b", None, Some("1.2.3-rc.1+b"), None);
        for range in
            ["^1.2.3", "1.2", "1.2.x", "*", "latest", ">=1 <2", "1.2.3 || 2", "1.0.0 - 2.0.0"]
        {
            check(range, None, None, Some(range));
        }
        check("catalog:", None, None, Some("catalog:"));
    }

    #[test]
    fn aliases_have_their_real_name() {
        check("npm:lodash@4.17.21", Some("lodash"), Some("4.17.21"), None);
        check("npm:@a/b@^1", Some("@a/b"), None, Some("^1"));
        check("npm:@a/b", Some("@a/b"), None, Some(""));
        check("npm:7zip-bin@5.0.0", Some("7zip-bin"), Some("5.0.0"), None);
    }

    /// Fails if a range of yarn 2 and later becomes the name of a package.
    #[test]
    fn a_protocol_before_a_range_is_not_an_alias() {
        check("npm:^3.0.1", None, None, Some("^3.0.1"));
        check("npm:3.0.1", None, Some("3.0.1"), None);
        check("npm:*", None, None, Some("*"));
    }

    #[test]
    fn a_patch_has_the_version_of_the_original() {
        check("patch:left-pad@npm%3A1.3.0#./a.patch", None, Some("1.3.0"), None);
        check("patch:@s/left-pad@npm:1.3.0#~/.yarn/a.patch", None, Some("1.3.0"), None);
        check("patch:left-pad@1.3.0#./a.patch", None, Some("1.3.0"), None);
        let range = "patch:left-pad@npm%3A^1.3.0#./a.patch";
        check(range, None, None, Some(range));
    }

    #[test]
    fn git_and_tarballs() {
        let hash = "4c8b71f58cb8b9e042d6ab73303d63beee7c522b";
        check(&format!("github:a/b#{hash}"), None, Some(hash), None);
        for spec in
            ["a/b", "a/b#v1.0.0", "a/b#semver:^1", "git@h.example:a/b.git", "https://h/a.git#main"]
        {
            check(spec, None, None, Some(spec));
        }
        check("https://r.example/left-pad/-/left-pad-1.3.0.tgz", None, Some("1.3.0"), None);
        let unversioned = "https://h.example/archive/main.tar.gz";
        check(unversioned, None, None, Some(unversioned));
    }

    #[test]
    fn local_files_are_not_packages() {
        for spec in [
            "workspace:*",
            "file:../a",
            "link:x",
            "portal:x",
            "./a",
            "../a",
            "~/a",
            "/a",
            "C:\\a",
            "a-1.0.0.tgz",
        ] {
            assert_eq!(read("a", spec), Spec::Local, "{spec}");
        }
    }
}
