//! Names, versions and sources of Clojure libraries.
//!
//! Input: a library's symbol, its version or its repository. Output: the package. Sources: "deps.edn
//! Reference", sections `:deps` and "Git"; "Dependencies" of Leiningen's tutorial. Invariants: a tag or a
//! range is a specifier, never a version.

use super::edn::Node;
use crate::ecosystem::{
    collect::{Collector, Declared},
    credentials::without_credentials,
    purl::{self, Parts},
    text,
};
use crate::model::{ecosystem::Ecosystem, scan_result::Scope};

/// Longest address of a repository in bytes.
const LONGEST_ADDRESS: usize = 1_000;

/// `group:artifact` of `group/artifact$classifier`. An unqualified name is both.
pub(super) fn module(symbol: &str) -> String {
    let symbol = symbol.split('$').next().unwrap_or(symbol);
    let (group, artifact) = symbol.split_once('/').unwrap_or((symbol, symbol));
    format!("{group}:{artifact}")
}

/// The declared version of a library.
#[derive(Debug, Clone, Copy)]
pub(super) enum Version<'v> {
    None,
    /// One version, or a range.
    Text(&'v str),
    /// A name without a value.
    Unknown(&'v str),
    /// The result of a call.
    Computed,
}

/// Adds a library of a Maven repository.
pub(super) fn add(
    symbol: &Node<'_>,
    version: Version<'_>,
    scope: Option<Scope>,
    found: &mut Collector<'_>,
) {
    let name = module(symbol.symbol().or_else(|| symbol.text()).unwrap_or_default());
    let line = symbol.line;
    let (version, specifier) = match version {
        Version::None => {
            found.defined_elsewhere(line, &name);
            (None, None)
        }
        Version::Text(text) => exact_or_range(text),
        Version::Unknown(unknown) => {
            let (name, shown) = (text::excerpt(&name), text::excerpt(unknown));
            found.warn(line, format!("`{name}`: `{shown}` has no single value here"));
            (None, Some(unknown))
        }
        Version::Computed => {
            found.warn(line, format!("`{}`: the version is computed", text::excerpt(&name)));
            (None, None)
        }
    };
    found.add(Declared { name: &name, version, specifier, line, direct: Some(true), scope });
}

/// A version by "Version Range Specification" of Maven, which both tools use to resolve.
fn exact_or_range(version: &str) -> (Option<&str>, Option<&str>) {
    let version = version.trim();
    let only = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let only = only.filter(|version| !version.contains([',', '[', '(']));
    let is_range = version.contains(['[', '(', ',']) || matches!(version, "LATEST" | "RELEASE");
    match only {
        Some(only) => (Some(only), None),
        None if is_range => (None, Some(version)),
        None => (Some(version).filter(|version| !version.is_empty()), None),
    }
}

/// Adds a library of a git repository: `:git/url`, `:git/sha` and `:git/tag`, or `:sha` and `:tag` of older
/// versions of the format. Without an address the name of the library determines it.
pub(super) fn add_git(
    symbol: &Node<'_>,
    coordinate: &Node<'_>,
    scope: Option<Scope>,
    found: &mut Collector<'_>,
) {
    let text = |keys: [&str; 2]| keys.iter().find_map(|key| coordinate.get(key)?.text());
    let (commit, tag) = (text(["git/sha", "sha"]), text(["git/tag", "tag"]));
    let symbol_text = symbol.symbol().unwrap_or_default();
    let name = module(symbol_text);
    let address = coordinate.get("git/url").and_then(Node::text).map(str::to_owned);
    let address = address.or_else(|| address_by_name(symbol_text)).unwrap_or_default();
    let address = if address.len() > LONGEST_ADDRESS { String::new() } else { address };
    if address.is_empty() {
        let message = format!("`{}` has no address of a repository", text::excerpt(&name));
        found.warn(symbol.line, message);
    }
    if commit.is_none() {
        let message = format!("`{}` has no commit", text::excerpt(&name));
        found.warn(symbol.line, message);
    }
    let (direct, line) = (Some(true), symbol.line);
    let declared = Declared { name: &name, version: commit, specifier: tag, line, direct, scope };
    let address = without_credentials(&address);
    let repository = on_github(&address);
    let ecosystem = if repository.is_some() { Ecosystem::GitHub } else { Ecosystem::Generic };
    let _ = found.take_as(ecosystem.into(), declared, |version| match repository {
        Some(repository) => Ecosystem::GitHub.purl(repository, version),
        None => generic(&name, version, &address),
    });
}

/// The address that the name of a library stands for: `io.github.acme/tool`.
fn address_by_name(symbol: &str) -> Option<String> {
    let (group, name) = symbol.split_once('/')?;
    let mut parts = group.splitn(3, '.');
    let (first, second, user) = (parts.next()?, parts.next()?, parts.next()?);
    let host = match (first, second) {
        ("com" | "io", "github") => "github.com",
        ("com" | "io", "gitlab") => "gitlab.com",
        ("org" | "io", "bitbucket") => "bitbucket.org",
        ("ht", "sr") => return Some(format!("https://git.sr.ht/~{user}/{name}")),
        _ => return None,
    };
    Some(format!("https://{host}/{user}/{name}.git"))
}

/// Owner and name of a repository on GitHub.
fn on_github(address: &str) -> Option<&str> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = rest.strip_prefix("git@").unwrap_or(rest).strip_prefix("github.com")?;
    let path = path.strip_prefix([':', '/'])?.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (path.matches('/').count() == 1).then_some(path)
}

/// The purl of a library in any other repository, by "Known qualifiers": `vcs_url`.
fn generic(name: &str, version: Option<&str>, address: &str) -> Option<String> {
    let (group, artifact) = name.split_once(':')?;
    let at = version.map_or_else(String::new, |version| format!("@{version}"));
    let location = format!("git+{address}{at}");
    let qualifiers = [("vcs_url", location.as_str())];
    let qualifiers: &[_] = if address.is_empty() { &[] } else { &qualifiers };
    let namespace = Some(group);
    purl::write(
        "generic",
        Parts { namespace, name: artifact, version, qualifiers, ..Parts::default() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_modules() {
        for (symbol, expected) in [
            ("org.clojure/clojure", "org.clojure:clojure"),
            ("cheshire", "cheshire:cheshire"),
            ("io.acme/native$linux-x86_64", "io.acme:native"),
            ("tool$aot", "tool:tool"),
        ] {
            assert_eq!(module(symbol), expected);
        }
    }

    #[test]
    fn ranges_are_no_versions() {
        for (version, expected) in [
            ("1.0", (Some("1.0"), None)),
            ("[1.0]", (Some("1.0"), None)),
            ("[1.0,2.0)", (None, Some("[1.0,2.0)"))),
            ("RELEASE", (None, Some("RELEASE"))),
            ("", (None, None)),
        ] {
            assert_eq!(exact_or_range(version), expected, "{version}");
        }
    }

    #[test]
    fn repositories_on_github_are_recognized() {
        for (address, expected) in [
            ("https://github.com/acme/tool.git", Some("acme/tool")),
            ("git@github.com:acme/tool.git", Some("acme/tool")),
            ("ssh://git@github.com/acme/tool", Some("acme/tool")),
            ("https://notgithub.com/acme/tool", None),
            ("https://git.example/github.com/acme/tool", None),
            ("https://gitlab.com/acme/tool", None),
        ] {
            assert_eq!(on_github(address), expected, "{address}");
        }
        assert_eq!(
            address_by_name("io.github.acme/tool").as_deref(),
            Some("https://github.com/acme/tool.git")
        );
        assert_eq!(address_by_name("org.acme/tool"), None);
    }
}
