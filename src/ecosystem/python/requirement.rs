//! One requirement: "Dependency specifiers" (PEP 508), and what pip took before.
//!
//! What flows in: `name[extra]>=1; marker`, `name @ url`, a URL, a path. What flows out: the
//! name, and the version where the requirement allows but one. What must stay true: text that
//! does not begin with a name is refused; after a clear name nothing is.

use super::archive;
use crate::ecosystem::git_reference;
use std::borrow::Cow;

/// What a requirement says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Requirement<'a> {
    Package {
        name: &'a str,
        version: Option<&'a str>,
        /// As declared, without extras and marker; none where there is a version.
        specifier: Option<Cow<'a, str>>,
        /// What is wrong with a requirement that is clear all the same.
        oddity: Option<&'static str>,
    },
    /// A folder beside the project, often the project itself: no package.
    Local,
    /// Why this is no requirement.
    Refused(&'static str),
}

/// Reads one requirement.
pub(super) fn read(text: &str) -> Requirement<'_> {
    let text = text.trim();
    if let Some(version_control) = version_control(text) {
        return version_control;
    }
    if is_path_or_url(text) {
        return path_or_url(without_marker_of_url(text));
    }
    let (name, rest) = split_name(text);
    if name.is_empty() {
        return Requirement::Refused("does not begin with a package name");
    }
    let rest = without_extras(rest.trim_start()).trim_start();
    if let Some(address) = rest.strip_prefix('@') {
        return at_address(name, without_marker_of_url(address.trim()));
    }
    let specifier = rest.split(';').next().unwrap_or(rest).trim();
    if !specifier.is_empty() && !specifier.starts_with(['=', '<', '>', '!', '~', '(']) {
        return Requirement::Refused("a package name and then text that is no version");
    }
    with_specifier(name, specifier)
}

/// The name with which a requirement begins, if it does.
pub(super) fn name(text: &str) -> Option<&str> {
    Some(split_name(text.trim()).0).filter(|it| !it.is_empty())
}

/// The requirement of a name and version specifiers that are written apart, or one after the
/// other.
pub(super) fn with_specifier<'a>(name: &'a str, specifier: &'a str) -> Requirement<'a> {
    // `name (>=1.0)` is the form of PEP 345.
    let bare = specifier.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let specifier = bare.unwrap_or(specifier).trim();
    if let Some(version) = pinned(specifier) {
        return package(name, Some(version), None);
    }
    let single_equals = specifier.starts_with('=') && !specifier.starts_with("==");
    Requirement::Package {
        name,
        version: None,
        specifier: (!specifier.is_empty()).then_some(Cow::Borrowed(specifier)),
        oddity: single_equals.then_some("`=` is no version operator"),
    }
}

fn package<'a>(
    name: &'a str,
    version: Option<&'a str>,
    specifier: Option<Cow<'a, str>>,
) -> Requirement<'a> {
    Requirement::Package { name, version, specifier, oddity: None }
}

/// The version of `==1.2` or `===1.2`; `==1.2.*` and lists of clauses are ranges.
pub(super) fn pinned(specifier: &str) -> Option<&str> {
    let version = specifier.strip_prefix("===").or_else(|| specifier.strip_prefix("=="))?.trim();
    let allowed =
        |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-' | '+' | '!');
    (!version.is_empty() && version.chars().all(allowed)).then_some(version)
}

/// `name` at the start of a text; empty where there is none. A name begins and ends with a
/// letter or digit.
fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|it: char| !(it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.')))
        .unwrap_or(text.len());
    let (name, _) = text.split_at_checked(end).unwrap_or((text, ""));
    let name = name.trim_end_matches(['-', '_', '.']);
    if name.starts_with(|it: char| it.is_ascii_alphanumeric()) {
        (name, text.get(name.len()..).unwrap_or_default())
    } else {
        ("", text)
    }
}

fn without_extras(text: &str) -> &str {
    match text.strip_prefix('[') {
        Some(extras) => extras.split_once(']').map_or("", |(_, rest)| rest),
        None => text,
    }
}

/// The marker of a requirement by URL needs a space before its `;`, which a URL may contain.
fn without_marker_of_url(text: &str) -> &str {
    text.split([' ', '\t']).next().unwrap_or(text)
}

/// `git+https://host/path@reference#egg=name`; pip knows four systems of version control.
fn version_control(text: &str) -> Option<Requirement<'_>> {
    const PREFIXES: [&str; 5] = ["git+", "hg+", "svn+", "bzr+", "git://"];
    PREFIXES.iter().find(|it| text.starts_with(**it))?;
    let address = without_marker_of_url(text);
    let egg = fragment(address, "egg").map(|egg| split_name(egg).0).unwrap_or_default();
    Some(if egg.is_empty() {
        Requirement::Refused("a repository without a package name (#egg=name)")
    } else {
        at_address(egg, address)
    })
}

fn fragment<'a>(address: &'a str, key: &str) -> Option<&'a str> {
    let (_, fragment) = address.split_once('#')?;
    fragment.split('&').find_map(|it| it.strip_prefix(key)?.strip_prefix('='))
}

/// A named package at an address: the version is the commit or what the file's name states.
fn at_address<'a>(name: &'a str, address: &'a str) -> Requirement<'a> {
    let version = if version_control_reference(address).is_some() {
        version_control_reference(address).and_then(git_reference::commit)
    } else {
        archive::name_and_version(address).map(|(_, version)| version)
    };
    package(name, version, version.is_none().then_some(Cow::Borrowed(address)))
}

/// The `reference` of `git+https://user@host/path@reference#…`.
fn version_control_reference(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_once("://")?;
    if !scheme.contains('+') && scheme != "git" {
        return None;
    }
    let path = rest.split('#').next()?.split_once('/')?.1;
    Some(path.rsplit_once('@').map_or("", |(_, reference)| reference))
}

fn is_path_or_url(text: &str) -> bool {
    let head = text.split([' ', '\t', ';', '[']).next().unwrap_or(text);
    let scheme = head.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
    });
    scheme || head.starts_with('.') || head.contains(['/', '\\']) || archive::is_archive(head)
}

fn path_or_url(address: &str) -> Requirement<'_> {
    let remote = address.contains("://") && !address.starts_with("file:");
    let egg = fragment(address, "egg").map(|egg| split_name(egg).0).filter(|it| !it.is_empty());
    // The egg of a folder is the name of what lies there.
    if let Some(name) = egg.filter(|_| remote || archive::is_archive(address)) {
        return at_address(name, address);
    }
    if let Some((name, version)) = archive::name_and_version(address) {
        return package(name, Some(version), None);
    }
    if remote || archive::is_archive(address) {
        Requirement::Refused("an address that states no package name")
    } else {
        Requirement::Local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match read(text) {
            Requirement::Package { name, version, specifier, oddity } => {
                let version = version.map(|it| format!("version {it}"));
                let specifier = specifier.map(|it| format!("specifier {it}"));
                let said = version.or(specifier).unwrap_or_else(|| "any".to_owned());
                format!("{name}: {said}{}", oddity.map_or("", |_| " (odd)"))
            }
            Requirement::Local => "local".to_owned(),
            Requirement::Refused(_) => "refused".to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn pins_are_versions() {
        check("Foo.Bar == 1.2", "Foo.Bar: version 1.2");
        check("foo===1!2.0+cpu", "foo: version 1!2.0+cpu");
        check("foo[a, b]==1.2 ; python_version < '3'", "foo: version 1.2");
        check("foo (==1.2)", "foo: version 1.2");
    }

    #[test]
    fn ranges_are_specifiers() {
        check("foo", "foo: any");
        check("foo>=1,<2;x=='y'", "foo: specifier >=1,<2");
        check("foo==1.2.*", "foo: specifier ==1.2.*");
        check("foo==1.2,!=1.3", "foo: specifier ==1.2,!=1.3");
        check("foo~=1.4", "foo: specifier ~=1.4");
    }

    #[test]
    fn what_pip_took_before_is_still_read() {
        check("foo>=1.*", "foo: specifier >=1.*");
        check("pytz>dev", "pytz: specifier >dev");
        check("foo (>=1.0)", "foo: specifier >=1.0");
        check("numpy=1.21.0=py39", "numpy: specifier =1.21.0=py39 (odd)");
    }

    #[test]
    fn addresses_have_a_name_or_are_refused() {
        let hash = "4c8b71f58cb8b9e042d6ab73303d63beee7c522b";
        check(
            &format!("git+https://h.example/a/b.git@{hash}#egg=foo[x]"),
            &format!("foo: version {hash}"),
        );
        check(
            &format!("foo @ git+ssh://git@h.example/a/b@{hash} ; x == 'y'"),
            &format!("foo: version {hash}"),
        );
        check(
            "git+https://h.example/a@main#subdirectory=x&egg=foo",
            "foo: specifier git+https://h.example/a@main#subdirectory=x&egg=foo",
        );
        check("git+https://h.example/a", "refused");
        check("foo@ https://h.example/foo-1.2-py3-none-any.whl", "foo: version 1.2");
        check("foo @ file:///croot/foo_169/work", "foo: specifier file:///croot/foo_169/work");
        check("https://h.example/foo-1.2.tar.gz#sha256=0", "foo: version 1.2");
        check(
            "https://h.example/main.zip#egg=foo",
            "foo: specifier https://h.example/main.zip#egg=foo",
        );
        check("https://h.example/main.zip", "refused");
        check("./wheels/foo-1.2-py3-none-any.whl", "foo: version 1.2");
    }

    #[test]
    fn folders_are_local_and_prose_is_refused() {
        for text in [
            ".",
            "./sub",
            "../sub[extra]",
            "file:///${PROJECT_ROOT}/sub#egg=sub",
            "file:///srv/x",
            "C:\\x",
            "sub/folder",
        ] {
            check(text, "local");
        }
        for text in ["hello world", "-", "", "==1.2", "é", "<<<<<<< HEAD", "foo, bar"] {
            check(text, "refused");
        }
    }
}
