//! Parses one requirement: "Dependency specifiers" (PEP 508), and older forms that pip accepted.
//!
//! Input: `name[extra]>=1; marker`, `name @ url`, a URL, a path. Output: the name, and the version if the
//! requirement allows exactly one. Invariants: a text that does not begin with a name is rejected; after a
//! valid name nothing is.

use super::archive;
use crate::ecosystem::git_reference;
use std::borrow::Cow;

/// The meaning of a requirement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Requirement<'a> {
    Package {
        name: &'a str,
        version: Option<&'a str>,
        /// As declared, without extras and marker; none if there is a version.
        specifier: Option<Cow<'a, str>>,
        /// The problem of a requirement that is malformed but unambiguous.
        problem: Option<&'static str>,
    },
    /// A local folder, often the project itself: not a package.
    Local,
    /// Why the text is not a requirement.
    Invalid(&'static str),
}

/// Parses one requirement.
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
        return Requirement::Invalid("does not begin with a package name");
    }
    let rest = without_extras(rest.trim_start()).trim_start();
    if let Some(address) = rest.strip_prefix('@') {
        return at_address(name, without_marker_of_url(address.trim()));
    }
    let specifier = rest.split(';').next().unwrap_or(rest).trim();
    if !specifier.is_empty() && !specifier.starts_with(['=', '<', '>', '!', '~', '(']) {
        return Requirement::Invalid("the text after the package name is not a version");
    }
    with_specifier(name, specifier)
}

/// The name at the beginning of a requirement, if there is one.
pub(in crate::ecosystem) fn name(text: &str) -> Option<&str> {
    Some(split_name(text.trim()).0).filter(|name| !name.is_empty())
}

/// The requirement of a name and its version specifiers.
pub(super) fn with_specifier<'a>(name: &'a str, specifier: &'a str) -> Requirement<'a> {
    // `name (>=1.0)` is the form of PEP 345.
    let bare = specifier.strip_prefix('(').and_then(|specifier| specifier.strip_suffix(')'));
    let specifier = bare.unwrap_or(specifier).trim();
    if let Some(version) = pinned(specifier) {
        return package(name, Some(version), None);
    }
    let single_equals = specifier.starts_with('=') && !specifier.starts_with("==");
    Requirement::Package {
        name,
        version: None,
        specifier: (!specifier.is_empty()).then_some(Cow::Borrowed(specifier)),
        problem: single_equals.then_some("`=` is not a version operator"),
    }
}

fn package<'a>(
    name: &'a str,
    version: Option<&'a str>,
    specifier: Option<Cow<'a, str>>,
) -> Requirement<'a> {
    Requirement::Package { name, version, specifier, problem: None }
}

/// The version of `==1.2` or `===1.2`, also among other clauses, which can only exclude it; `==1.2.*` is a
/// range.
pub(super) fn pinned(specifier: &str) -> Option<&str> {
    specifier.split(',').find_map(|clause| exactly(clause.trim()))
}

fn exactly(specifier: &str) -> Option<&str> {
    let version = specifier.strip_prefix("===").or_else(|| specifier.strip_prefix("=="))?.trim();
    let allowed = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '+' | '!')
    };
    (!version.is_empty() && version.chars().all(allowed)).then_some(version)
}

/// Splits off the name at the beginning of a text; empty if there is none. A name begins and ends with a
/// letter or digit.
fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| {
            !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'))
        })
        .unwrap_or(text.len());
    let (name, _) = text.split_at_checked(end).unwrap_or((text, ""));
    let name = name.trim_end_matches(['-', '_', '.']);
    if name.starts_with(|character: char| character.is_ascii_alphanumeric()) {
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

/// Cuts a URL at the first space: the marker of a requirement by URL needs a space before its `;`.
fn without_marker_of_url(text: &str) -> &str {
    text.split([' ', '\t']).next().unwrap_or(text)
}

/// Parses `git+https://host/path@reference#egg=name`, in one of the four version control systems of pip.
fn version_control(text: &str) -> Option<Requirement<'_>> {
    const PREFIXES: [&str; 5] = ["git+", "hg+", "svn+", "bzr+", "git://"];
    PREFIXES.iter().find(|prefix| text.starts_with(**prefix))?;
    let address = without_marker_of_url(text);
    let egg = fragment(address, "egg").map(|egg| split_name(egg).0).unwrap_or_default();
    Some(if egg.is_empty() {
        Requirement::Invalid("a repository without a package name (#egg=name)")
    } else {
        at_address(egg, address)
    })
}

fn fragment<'a>(address: &'a str, key: &str) -> Option<&'a str> {
    let (_, fragment) = address.split_once('#')?;
    fragment.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// A named package at an address: its version is the commit, or the version in the file name.
fn at_address<'a>(name: &'a str, address: &'a str) -> Requirement<'a> {
    // "Context formatting" of Hatch's documentation: `{root:uri}/folder`.
    if address.starts_with("{root") {
        return Requirement::Local;
    }
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
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    scheme || head.starts_with('.') || head.contains(['/', '\\']) || archive::is_archive(head)
}

fn path_or_url(address: &str) -> Requirement<'_> {
    let remote = address.contains("://") && !address.starts_with("file:");
    let egg = fragment(address, "egg").map(|egg| split_name(egg).0).filter(|name| !name.is_empty());
    // The egg of a local folder is the name of that project.
    if let Some(name) = egg.filter(|_| remote || archive::is_archive(address)) {
        return at_address(name, address);
    }
    if let Some((name, version)) = archive::name_and_version(address) {
        return package(name, Some(version), None);
    }
    if remote || archive::is_archive(address) {
        Requirement::Invalid("the address contains no package name")
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
            Requirement::Package { name, version, specifier, problem } => {
                let version = version.map(|version| format!("version {version}"));
                let specifier = specifier.map(|specifier| format!("specifier {specifier}"));
                let shown = version.or(specifier).unwrap_or_else(|| "any".to_owned());
                format!("{name}: {shown}{}", problem.map_or("", |_| " (problem)"))
            }
            Requirement::Local => "local".to_owned(),
            Requirement::Invalid(_) => "invalid".to_owned(),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn pins_are_versions() {
        check("Foo.Bar == 1.2", "Foo.Bar: version 1.2");
        check("foo===1!2.0+cpu", "foo: version 1!2.0+cpu");
        check("foo[a, b]==1.2 ; python_version < '3'", "foo: version 1.2");
        check("foo (==1.2)", "foo: version 1.2");
        check("foo==1.2,!=1.3", "foo: version 1.2");
        check("foo >=42, ==43.0.1", "foo: version 43.0.1");
    }

    #[test]
    fn ranges_are_specifiers() {
        check("foo", "foo: any");
        check("foo>=1,<2;x=='y'", "foo: specifier >=1,<2");
        check("foo==1.2.*", "foo: specifier ==1.2.*");
        check("foo>=1,!=1.1.*", "foo: specifier >=1,!=1.1.*");
        check("foo~=1.4", "foo: specifier ~=1.4");
    }

    #[test]
    fn older_forms_are_accepted() {
        check("foo>=1.*", "foo: specifier >=1.*");
        check("pytz>dev", "pytz: specifier >dev");
        check("foo (>=1.0)", "foo: specifier >=1.0");
        check("numpy=1.21.0=py39", "numpy: specifier =1.21.0=py39 (problem)");
    }

    #[test]
    fn addresses_have_a_name_or_are_invalid() {
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
        check("git+https://h.example/a", "invalid");
        check("foo@ https://h.example/foo-1.2-py3-none-any.whl", "foo: version 1.2");
        check("foo @ file:///croot/foo_169/work", "foo: specifier file:///croot/foo_169/work");
        check("https://h.example/foo-1.2.tar.gz#sha256=0", "foo: version 1.2");
        check(
            "https://h.example/main.zip#egg=foo",
            "foo: specifier https://h.example/main.zip#egg=foo",
        );
        check("https://h.example/main.zip", "invalid");
        check("foo @ {root:uri}/foo", "local");
        check("./wheels/foo-1.2-py3-none-any.whl", "foo: version 1.2");
    }

    #[test]
    fn folders_are_local_and_prose_is_invalid() {
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
            check(text, "invalid");
        }
    }
}
