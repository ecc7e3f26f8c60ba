//! The API of each forge: its kind, its base URL, and the URLs of requests.
//!
//! Input: a URL and the settings. Output: URLs. Invariant: nothing is requested here.

use crate::{
    config::{Config, ForgeKind},
    model::{address::Origin, git_url::GitUrl},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use url::Url;

/// All characters except the unreserved ones of RFC 3986, so that a path becomes a single segment.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The API of github.com.
const GITHUB_API: &str = "https://api.github.com/";

/// The API of a forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForgeApi {
    /// Version 4 of GitLab's REST API.
    Gitlab,
    /// Version 3 of GitHub's REST API.
    Github,
}

impl ForgeApi {
    /// The API of a URL's forge, according to the settings, or of a public forge.
    pub(super) fn of(url: &GitUrl, config: &Config) -> Option<Self> {
        let origin = Origin::of(url.url())?;
        if let Some(forge) = config.forge(&origin) {
            return match forge.kind {
                ForgeKind::Gitlab => Some(Self::Gitlab),
                ForgeKind::Github => Some(Self::Github),
                ForgeKind::Git => None,
            };
        }
        let public = |host: &str| is_public(&origin, host);
        match () {
            () if public("gitlab.com") => Some(Self::Gitlab),
            () if public("github.com") => Some(Self::Github),
            () => None,
        }
    }

    /// The base URL of the API; the paths of requests are appended to it. If github.com is allowed,
    /// its API host is allowed too.
    pub(super) fn base(self, url: &GitUrl) -> Option<Url> {
        let origin = Origin::of(url.url())?;
        if self == Self::Github && is_public(&origin, "github.com") {
            return Url::parse(GITHUB_API).ok();
        }
        let mut base = url.url().clone();
        base.set_path(match self {
            Self::Gitlab => "/api/v4/",
            Self::Github => "/api/v3/",
        });
        Some(base)
    }
}

fn is_public(origin: &Origin, host: &str) -> bool {
    origin.scheme == "https" && origin.host == host && origin.port == 443
}

/// A URL's path as one segment of another URL.
pub(super) fn path_as_segment(url: &GitUrl) -> String {
    let bytes: Vec<u8> = percent_decode_str(url.url().path().trim_matches('/')).collect();
    percent_encode(&bytes, RESERVED).to_string()
}

/// The URL of a request below a base URL.
pub(super) fn endpoint(base: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path()));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}
