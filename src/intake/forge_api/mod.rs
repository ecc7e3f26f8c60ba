//! The APIs of forges: where they are, what they are asked, and how their answers are read. One file
//! for each kind of forge, behind [`ForgeApi`].
//!
//! Input: a URL and the settings; entries and ends of pages. Output: URLs of requests, and [`Project`]s.
//! Invariants: nothing is requested here; a missing or invalid member of an entry counts as absent; lists
//! are requested in an order that does not change while their pages are read, where the forge has one; a
//! next page has the origin of the current one.

mod azure;
mod bitbucket;
mod bitbucket_server;
mod entry;
mod gitea;
mod github;
mod gitlab;
pub(super) mod next_page;
#[cfg(test)]
mod tests;

pub(super) use entry::{Facts, Project};

use crate::{
    config::{Config, ForgeKind},
    model::{address::Origin, git_url::GitUrl, master::Options},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use next_page::OtherOrigin;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::fmt::Debug;
use url::Url;

/// All characters except the unreserved ones of RFC 3986, so that a path becomes a single segment.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API of a forge.
pub(super) type Api = &'static dyn ForgeApi;

/// All of them.
#[cfg(any(test, fuzzing))]
pub(super) const ALL: [Api; 6] = [
    &gitlab::Gitlab,
    &github::Github,
    &gitea::Gitea,
    &bitbucket::Bitbucket,
    &bitbucket_server::BitbucketServer,
    &azure::Azure,
];

/// What a URL names on a forge, unless it ends with `.git`: then it is a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Repository,
    /// A group, an organization, a workspace, a project of several repositories, or a user.
    Group,
    /// A repository or a group: only the forge knows which.
    Either,
}

/// A request that may find out what a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    /// The answer is the entry of one repository.
    One(Url),
    /// The answer is the first page of a list.
    List(Url),
}

/// What decides where a list continues.
#[derive(Debug)]
pub(super) struct PageEnd<'a> {
    /// The URL of the page.
    pub(super) url: &'a Url,
    pub(super) headers: &'a HeaderMap,
    /// The members of the answer besides the list; `Null` if the answer is the list.
    pub(super) members: &'a Value,
    /// How many entries the page has.
    pub(super) entries: usize,
}

/// The API of one kind of forge. Pure.
pub(super) trait ForgeApi: Debug + Sync {
    /// What a validated URL names.
    fn names(&self, url: &GitUrl) -> Names;

    /// The base URL of the API of this URL's forge, with a slash at its end; the paths of requests are
    /// appended to it.
    fn base(&self, url: &GitUrl) -> Option<Url>;

    /// The requests that may find out what the URL names, in order. The first one that the forge does not
    /// answer with 404 decides.
    fn questions(&self, base: &Url, url: &GitUrl, options: &Options) -> Vec<Question>;

    /// Reads an entry. The position is its place in the list, from 1.
    fn project(&self, entry: &Value, position: usize) -> Project;

    /// The member of an answer that has the list; `None` if the answer is the list.
    fn list_member(&self) -> Option<&'static str> {
        None
    }

    /// The URL of the next page, if there is one.
    fn next_page(&self, end: &PageEnd<'_>) -> Result<Option<Url>, OtherOrigin> {
        next_page::by_header(end.headers, end.url)
    }

    /// The URL of the page after one that cannot be read; `None` if only that page names it.
    fn page_after(&self, page: &Url) -> Option<Url> {
        next_page::advanced(page, "page", 1)
    }

    /// The value of the `Authorization` header.
    fn authorization(&self, _username: &str, token: &str) -> String {
        format!("Bearer {token}")
    }

    /// Whether this status code means that the forge wants a login, besides 401 and 403.
    fn wants_login(&self, _code: u16) -> bool {
        false
    }

    /// The path of the group that a URL names, as the paths of its repositories begin with it.
    fn group_path(&self, url: &GitUrl) -> String {
        decoded_path(url)
    }
}

/// The API of a URL's forge, according to the settings, or of a public forge.
pub(super) fn of(url: &GitUrl, config: &Config) -> Option<Api> {
    let origin = Origin::of(url.url())?;
    let kind = match config.forge(&origin) {
        Some(forge) => forge.kind,
        None => ForgeKind::of_public(&origin.host).filter(|_| is_public(&origin, &origin.host))?,
    };
    match kind {
        ForgeKind::Gitlab => Some(&gitlab::Gitlab),
        ForgeKind::Github => Some(&github::Github),
        ForgeKind::Gitea => Some(&gitea::Gitea),
        ForgeKind::Bitbucket => Some(&bitbucket::Bitbucket),
        ForgeKind::BitbucketServer => Some(&bitbucket_server::BitbucketServer),
        ForgeKind::Azure => Some(&azure::Azure),
        ForgeKind::Git => None,
    }
}

fn is_public(origin: &Origin, host: &str) -> bool {
    origin.scheme == "https" && origin.host == host && origin.port == 443
}

/// The base URL of an API: of a public forge whose API has a host of its own, which is allowed if the
/// forge is; else below a path of the forge itself.
fn base_of(url: &GitUrl, public: Option<(&str, &str)>, path: &str) -> Option<Url> {
    let origin = Origin::of(url.url())?;
    if let Some((host, api)) = public
        && is_public(&origin, host)
    {
        return Url::parse(api).ok();
    }
    let mut base = url.url().clone();
    base.set_path(path);
    Some(base)
}

/// A URL of one segment names a group, any other one a repository.
fn group_if_short(url: &GitUrl) -> Names {
    if url.depth() < 2 { Names::Group } else { Names::Repository }
}

/// The segments of a URL's path, decoded.
fn segments(url: &GitUrl) -> Vec<String> {
    let path = url.url().path();
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

fn decoded_path(url: &GitUrl) -> String {
    segments(url).join("/")
}

/// A URL's path as one segment of another URL.
fn path_as_segment(url: &GitUrl) -> String {
    as_segment(percent_decode_str(url.url().path().trim_matches('/')))
}

/// Bytes as one segment of a URL.
fn as_segment(bytes: impl Iterator<Item = u8>) -> String {
    let bytes: Vec<u8> = bytes.collect();
    percent_encode(&bytes, RESERVED).to_string()
}

/// The URL of a request below a base URL.
fn endpoint(base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path()));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// The value of a header for a login with a password.
fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}
