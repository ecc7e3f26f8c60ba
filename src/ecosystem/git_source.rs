//! Git repositories as packages, for formats that name a repository by its address or by an archive of it.
//!
//! Input: an address in any form of "Git URLs" of git's manual, or the URL of an archive that a forge makes.
//! Output: the ecosystem and the name of the repository, and the reference in the URL of an archive.
//!
//! Decisions: a repository of GitHub or Bitbucket is named `owner/repository`, by github-definition and
//! bitbucket-definition; any other is generic, and its host is part of the name.
//!
//! Invariants: the https, ssh and short forms of one repository give one name, without credentials.

use super::{
    collect::{Added, Collector, Declared},
    swift,
};
use crate::model::ecosystem::Ecosystem;

/// The ends of the names of archives.
const ARCHIVES: [&str; 8] =
    [".tar.gz", ".tgz", ".zip", ".tar.xz", ".tar.bz2", ".tar.zst", ".tbz2", ".tar"];

/// A repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GitSource {
    ecosystem: Ecosystem,
    name: String,
}

impl GitSource {
    /// The repository at an address; none for a folder on disk.
    pub(super) fn of(address: &str) -> Option<Self> {
        let address = address.trim();
        let address = address.strip_prefix("git+").unwrap_or(address);
        Self::named(&swift::repository_name(address)?)
    }

    /// The repository `host/path`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (host, path) = name.split_once('/')?;
        let ecosystem = match host {
            "github.com" | "www.github.com" => Ecosystem::GitHub,
            "bitbucket.org" => Ecosystem::Bitbucket,
            _ => return Some(Self { ecosystem: Ecosystem::Generic, name: name.to_owned() }),
        };
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (owner, repository) = (segments.next()?, segments.next()?);
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        Some(Self { ecosystem, name: format!("{owner}/{repository}") })
    }

    /// The repository of an archive, and its tag, branch or commit. Knows the archives and releases of GitHub,
    /// also in a mirror whose path contains the address, and the archives of GitLab.
    pub(super) fn of_archive(url: &str) -> Option<(Self, &str)> {
        let url = url.split(['?', '#']).next().unwrap_or(url);
        let (_, path) = url.split_once("://")?;
        if let Some((project, rest)) = path.split_once("/-/archive/") {
            return Some((Self::named(project)?, rest.split('/').next()?));
        }
        let at = path.find("github.com/")?;
        let host = path.get(..at)?.rsplit('/').next().unwrap_or_default();
        if !(host.is_empty() || host.ends_with('.')) {
            return None;
        }
        let path = path.get(at + "github.com/".len()..)?;
        let path = if host == "api." { path.strip_prefix("repos/")? } else { path };
        let mut parts = path.splitn(4, '/');
        let (owner, repository, kind, rest) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let reference = match kind {
            "releases" => rest.strip_prefix("download/")?.rsplit_once('/')?.0,
            "archive" | "tarball" | "zipball" | "tar.gz" | "zip" | "legacy.tar.gz"
            | "legacy.zip" => without_extension(rest),
            _ => return None,
        };
        let tag = reference.strip_prefix("refs/tags/");
        let reference = tag.or_else(|| reference.strip_prefix("refs/heads/")).unwrap_or(reference);
        let name = format!("{owner}/{repository}");
        (!reference.is_empty()).then_some((Self { ecosystem: Ecosystem::GitHub, name }, reference))
    }

    /// Adds the repository, with everything but the name from `declared`.
    pub(super) fn add(&self, declared: Declared<'_>, found: &mut Collector<'_>) -> Option<Added> {
        found.take(self.ecosystem, Declared { name: &self.name, ..declared })
    }
}

fn without_extension(file: &str) -> &str {
    ARCHIVES.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_the_type_of_its_forge() {
        for (address, ecosystem, name) in [
            ("https://github.com/Acme/Kite.git", Ecosystem::GitHub, "Acme/Kite"),
            ("git+ssh://git@github.com/acme/kite", Ecosystem::GitHub, "acme/kite"),
            ("git@bitbucket.org:acme/kite.git", Ecosystem::Bitbucket, "acme/kite"),
            ("https://git.example/a/b/c.git", Ecosystem::Generic, "git.example/a/b/c"),
        ] {
            let expected = GitSource { ecosystem, name: name.to_owned() };
            assert_eq!(GitSource::of(address), Some(expected), "{address}");
        }
        for local in ["../kite", "/srv/kite", "file:///srv/kite", "https://github.com/acme", ""] {
            assert_eq!(GitSource::of(local), None, "{local}");
        }
    }

    #[test]
    fn an_archive_has_a_reference() {
        let base = "https://github.com/acme/kite";
        for (url, reference) in [
            (format!("{base}/archive/v1.0.tar.gz"), "v1.0"),
            (format!("{base}/archive/refs/tags/v1.0.zip"), "v1.0"),
            (format!("{base}/releases/download/v1.0/kite-v1.0.tar.gz"), "v1.0"),
            (format!("{base}/releases/download/kite/v1.0/kite.tgz"), "kite/v1.0"),
            ("https://codeload.github.com/acme/kite/tar.gz/refs/tags/v1.0".to_owned(), "v1.0"),
            ("https://api.github.com/repos/acme/kite/tarball/v1.0".to_owned(), "v1.0"),
            ("https://mirror.example/github.com/acme/kite/archive/v1.0.zip".to_owned(), "v1.0"),
        ] {
            let expected = GitSource::named("github.com/acme/kite").unwrap();
            assert_eq!(GitSource::of_archive(&url), Some((expected, reference)), "{url}");
        }
        let url = "https://git.example/g/kite/-/archive/v2/kite-v2.tar.gz";
        let expected = GitSource::named("git.example/g/kite").unwrap();
        assert_eq!(GitSource::of_archive(url), Some((expected, "v2")));
        for other in [format!("{base}/raw/main/x.zip"), "https://h.example/x.zip".to_owned()] {
            assert_eq!(GitSource::of_archive(&other), None, "{other}");
        }
    }
}
