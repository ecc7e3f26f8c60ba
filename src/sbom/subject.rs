//! What a document is about: one repository, or a group of them.
//!
//! What flows in: results, and the name of what was asked for. What flows out: names, addresses and
//! versions as documents have them. What must stay true: no address has credentials.

use super::components::Place;
use crate::model::{repository::RepositoryStatus, scan_result::ScanResult};
use url::Url;

/// What a document is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// The one repository that there is a result of.
    Repository,
    /// A group: its name, or its address, and its repositories of which there is no result.
    Group { name: &'a str, missing: &'a [RepositoryStatus] },
}

impl<'a> Subject<'a> {
    /// The repositories of which there is no result.
    pub(super) fn missing(self) -> &'a [RepositoryStatus] {
        match self {
            Subject::Repository => &[],
            Subject::Group { missing, .. } => missing,
        }
    }

    /// The place of a component; in a group it begins with the repository's name.
    pub(super) fn location(self, place: &Place<'_>, results: &[&ScanResult]) -> String {
        match (self, results.get(place.result)) {
            (Subject::Group { .. }, Some(result)) => format!("{}/{}", result.repo_name, place.file),
            _ => place.file.to_owned(),
        }
    }
}

/// The name of a group: of an address its path, which is what people call it.
pub(super) fn group_name(name: &str) -> String {
    match Url::parse(name).ok().filter(Url::has_host) {
        Some(address) => {
            let path = address.path().trim_matches('/');
            let host = address.host_str().unwrap_or_default();
            if path.is_empty() { host.to_owned() } else { path.to_owned() }
        }
        None => name.to_owned(),
    }
}

/// The name of a repository of which there is no result.
pub(super) fn name_of(missing: &RepositoryStatus) -> String {
    let named = missing.name.clone().or_else(|| web_address(missing.git_url.as_deref()?));
    named.unwrap_or_else(|| format!("repository {}", missing.index))
}

/// Why there is no result of it.
pub(super) fn reason(missing: &RepositoryStatus) -> String {
    let state = missing.state.as_str();
    missing.error.as_ref().map_or_else(|| state.to_owned(), |error| format!("{state}: {error}"))
}

/// A repository's address without credentials; none for a local folder and `git@host:path`,
/// which are no URLs.
pub(super) fn web_address(git_url: &str) -> Option<String> {
    let mut address = Url::parse(git_url).ok().filter(Url::has_host)?;
    address.set_username("").ok()?;
    address.set_password(None).ok()?;
    Some(address.to_string())
}
