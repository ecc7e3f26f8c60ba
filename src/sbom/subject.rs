//! The subject of a document: one repository, or a group of them.
//!
//! Input: repositories, and the name of the group. Output: names, addresses and reasons for the document.
//! Invariants: no address contains credentials.

use crate::model::repository::RepositoryStatus;
use percent_encoding::percent_decode_str;
use url::Url;

/// The name of a group: of an address only the path.
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

/// The name of a repository without a result.
pub(super) fn name_of(missing: &RepositoryStatus) -> String {
    let named = missing.name.clone().or_else(|| web_address(missing.git_url.as_deref()?));
    named.unwrap_or_else(|| format!("repository {}", missing.index))
}

/// Why a repository has no result.
pub(super) fn reason(missing: &RepositoryStatus) -> String {
    let state = missing.state.as_str();
    missing.error.as_ref().map_or_else(|| state.to_owned(), |error| format!("{state}: {error}"))
}

/// Who a repository belongs to: the first segment of its path, an account or a group of its forge.
pub(super) fn owner(git_url: &str) -> Option<String> {
    let address = Url::parse(git_url).ok().filter(Url::has_host)?;
    let mut segments = address.path_segments()?;
    let owner = segments.next().filter(|owner| !owner.is_empty())?;
    segments.next().map(|_| percent_decode_str(owner).decode_utf8_lossy().into_owned())
}

/// A repository's address without credentials; none for a local folder and for `git@host:path`, which are
/// not URLs.
pub(super) fn web_address(git_url: &str) -> Option<String> {
    let mut address = Url::parse(git_url).ok().filter(Url::has_host)?;
    address.set_username("").ok()?;
    address.set_password(None).ok()?;
    Some(address.to_string())
}
