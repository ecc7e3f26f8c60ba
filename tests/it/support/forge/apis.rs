//! How each kind of forge writes an entry and a page, by the documentation of its API.
//!
//! - GitLab: "Projects API", "Groups API", "REST API: pagination".
//! - GitHub: "REST API endpoints for repositories", "Using pagination in the REST API".
//! - Gitea and Forgejo: the Swagger document of API version 1 (`Repository`), "Pagination".
//! - Bitbucket Cloud: "The Bitbucket Cloud REST API: Repositories", "Pagination".
//! - Bitbucket Data Center: "REST API 1.0: projects/{projectKey}/repos", "Paged APIs".
//! - Azure DevOps: "Git: Repositories - List"; `x-ms-continuationtoken` as its other lists have it.

use super::listing::Answer;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gitlab,
    Github,
    Gitea,
    Bitbucket,
    BitbucketServer,
    Azure,
}

/// What a page is made of.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Of the whole list.
    pub(super) entries: &'a [Value],
    pub(super) size: usize,
    /// Whether every page names another one.
    pub(super) endless: bool,
    pub(super) query: &'a str,
    /// The URL of the list, without its query.
    pub(super) own: &'a str,
}

impl Kind {
    /// The kind whose API has this path, and the rest of the path.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        for (kind, base) in [
            (Self::Gitlab, "/api/v4/"),
            (Self::Github, "/api/v3/"),
            (Self::Gitea, "/api/v1/"),
            (Self::Bitbucket, "/2.0/"),
            (Self::BitbucketServer, "/rest/api/1.0/"),
        ] {
            if let Some(rest) = path.strip_prefix(base) {
                return Some((kind, rest));
            }
        }
        let place = path.strip_suffix("/_apis/git/repositories")?;
        Some((Self::Azure, place.trim_start_matches('/')))
    }

    /// The header that a token is sent in.
    pub(super) fn authorization(self, token: &str) -> String {
        match self {
            Self::Gitea => format!("token {token}"),
            Self::Azure => format!("Basic {}", BASE64_STANDARD.encode(format!(":{token}"))),
            _ => format!("Bearer {token}"),
        }
    }

    /// The entry of a repository, with a test's own members.
    pub(super) fn entry(
        self,
        id: usize,
        path: &str,
        said: &Map<String, Value>,
        base: &str,
    ) -> Value {
        let name = path.rsplit('/').next().unwrap_or(path);
        let owner = path.split('/').next().unwrap_or("");
        let clone = format!("{base}/{path}.git");
        let ssh = format!("git@forge.example:{path}.git");
        let mut entry = match self {
            Self::Gitlab => json!({
                "id": id, "name": name, "path": name, "path_with_namespace": path,
                "default_branch": "main", "http_url_to_repo": clone, "ssh_url_to_repo": ssh,
                "web_url": format!("{base}/{path}"), "archived": false, "empty_repo": false,
                "repository_access_level": "enabled", "marked_for_deletion_on": null,
                "visibility": "public", "topics": [], "last_activity_at": "2024-01-01T00:00:00.000Z",
            }),
            Self::Github => json!({
                "id": id, "name": name, "full_name": path, "owner": {"login": owner},
                "clone_url": clone, "ssh_url": ssh, "html_url": format!("{base}/{path}"),
                "default_branch": "main", "archived": false, "disabled": false, "fork": false,
                "private": false, "visibility": "public", "topics": [], "size": 4,
                "pushed_at": "2024-01-01T00:00:00Z",
            }),
            Self::Gitea => json!({
                "id": id, "name": name, "full_name": path, "owner": {"login": owner},
                "clone_url": clone, "ssh_url": ssh, "html_url": format!("{base}/{path}"),
                "default_branch": "main", "archived": false, "empty": false, "fork": false,
                "mirror": false, "private": false, "internal": false, "topics": [], "size": 4,
                "permissions": {"admin": false, "push": false, "pull": true}, "has_code": true,
                "updated_at": "2024-01-01T00:00:00Z",
            }),
            Self::Bitbucket => json!({
                "type": "repository", "uuid": format!("{{{id}}}"), "slug": name, "name": name,
                "full_name": path, "is_private": false, "size": 4096,
                "updated_on": "2024-01-01T00:00:00.000000+00:00",
                "mainbranch": {"type": "branch", "name": "main"},
                "links": {"clone": [
                    {"name": "https", "href": clone.replacen("://", "://someone@", 1)},
                    {"name": "ssh", "href": ssh},
                ]},
            }),
            Self::BitbucketServer => json!({
                "slug": name, "id": id, "name": name, "state": "AVAILABLE", "forkable": true,
                "project": {"key": owner, "id": 1, "type": "NORMAL"}, "public": true,
                "archived": false,
                "links": {"clone": [
                    {"href": ssh, "name": "ssh"},
                    {"href": clone, "name": "http"},
                ]},
            }),
            Self::Azure => {
                let project = path.split('/').nth(1).unwrap_or("");
                let place = path.rsplit_once('/').map_or("", |(place, _)| place);
                let web = format!("{base}/{place}/_git/{name}").replace(' ', "%20");
                json!({
                    "id": format!("00000000-0000-0000-0000-{id:012}"), "name": name,
                    "project": {"name": project, "state": "wellFormed", "visibility": "private"},
                    "defaultBranch": "refs/heads/main", "size": 4096, "isDisabled": false,
                    "remoteUrl": web.replacen("://", "://acme@", 1), "webUrl": web,
                })
            }
        };
        if let Value::Object(members) = &mut entry {
            members.extend(said.clone());
        }
        entry
    }

    /// One page of a list.
    pub(super) fn page(self, page: &Page<'_>) -> Answer {
        let Page { entries, size, endless, query, own } = page;
        let number = |name| parameter(query, name).and_then(|text| text.parse().ok());
        let others = |name: &str| {
            let name = format!("{name}=");
            let others = query.split('&').filter(|part| !part.starts_with(&name));
            others.collect::<Vec<_>>().join("&")
        };
        let page: usize = number("page").unwrap_or(1);
        let begin = match self {
            Self::BitbucketServer => number("start").unwrap_or(0),
            Self::Azure => number("continuationToken").unwrap_or(0),
            _ => (page - 1) * size,
        };
        let begin = begin.min(entries.len());
        let end = (begin + size).min(entries.len());
        let more = end < entries.len() || *endless;
        let values = Value::from(entries[begin..end].to_vec());
        let next_page = format!("{own}?{}&page={}", others("page"), page + 1);
        let first_page = format!("{own}?{}&page=1", others("page"));
        // An endless list has no two pages of the same address.
        let next_start =
            if *endless { begin.max(number("start").unwrap_or(0)) + size } else { end };
        let (headers, body) = match self {
            Self::Gitlab | Self::Github | Self::Gitea => {
                let link = if more {
                    format!("Link: <{first_page}>; rel=\"first\", <{next_page}>; rel=\"next\"\r\n")
                } else if page > 1 {
                    format!("Link: <{first_page}>; rel=\"first\"\r\n")
                } else {
                    String::new()
                };
                let next = if more { (page + 1).to_string() } else { String::new() };
                let counts = match self {
                    Self::Gitea => format!("X-Total-Count: {}\r\n", entries.len()),
                    _ => format!("X-Next-Page: {next}\r\n"),
                };
                (link + &counts, values)
            }
            Self::Bitbucket => {
                let mut body = json!({"pagelen": size, "size": entries.len(), "page": page});
                if more {
                    body["next"] = next_page.into();
                }
                body["values"] = values;
                (String::new(), body)
            }
            Self::BitbucketServer => {
                let next = more.then_some(next_start);
                let body = json!({
                    "size": end - begin, "limit": size, "isLastPage": !more, "values": values,
                    "start": begin, "nextPageStart": next,
                });
                (String::new(), body)
            }
            Self::Azure => {
                let token = number("continuationToken").unwrap_or(0) + size;
                let header = format!("x-ms-continuationtoken: {token}\r\n");
                let body = json!({"count": end - begin, "value": values});
                (if more { header } else { String::new() }, body)
            }
        };
        let mut answer = Answer::of(200, &body);
        answer.headers = headers;
        answer
    }
}

/// Names another next page in a body.
pub(super) fn set_next(answer: &mut Answer, url: &str) {
    let mut body: Value = serde_json::from_slice(&answer.body).expect("a page of this stand-in");
    body["next"] = url.into();
    answer.body = body.to_string().into_bytes();
}

pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}
