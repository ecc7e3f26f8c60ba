//! The API of Bitbucket Cloud, version 2.0: repositories of workspaces.

use super::{
    Facts, ForgeApi, Names, PageEnd, Project, Question, base_of, basic, endpoint, entry,
    group_if_short,
    next_page::{self, OtherOrigin},
    path_as_segment,
};
use crate::{
    config::ACCESS_TOKEN_USER,
    model::{git_url::GitUrl, master::Options},
};
use serde_json::Value;
use url::Url;

/// bitbucket.org and its API.
const PUBLIC: (&str, &str) = ("bitbucket.org", "https://api.bitbucket.org/2.0/");

#[derive(Debug)]
pub(super) struct Bitbucket;

impl ForgeApi for Bitbucket {
    fn names(&self, url: &GitUrl) -> Names {
        group_if_short(url)
    }

    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, Some(PUBLIC), "/2.0/")
    }

    fn questions(&self, base: &Url, url: &GitUrl, _options: &Options) -> Vec<Question> {
        let path = format!("repositories/{}", path_as_segment(url));
        vec![Question::List(endpoint(base, &path, &[("pagelen", "100"), ("sort", "created_on")]))]
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        Project {
            path: entry::text(&item["full_name"]),
            url: entry::clone_link(item),
            skipped: None,
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                // The forge archives no repositories, and gives them no topics.
                archived: None,
                topics: None,
                // Only a fork has a parent.
                fork: item.is_object().then(|| item["parent"].is_object()),
                // A repository gets its main branch with its first commit.
                empty: item.get("mainbranch").map(Value::is_null),
                visibility: entry::private_or_public(item["is_private"].as_bool()),
                active_at: entry::time(&item["updated_on"]),
                bytes: item["size"].as_u64(),
            },
        }
    }

    fn list_member(&self) -> Option<&'static str> {
        Some("values")
    }

    fn next_page(&self, end: &PageEnd<'_>) -> Result<Option<Url>, OtherOrigin> {
        match end.members["next"].as_str() {
            Some(next) => next_page::same_origin(next, end.url).map(Some),
            None => Ok(None),
        }
    }

    /// An access token of a repository, project or workspace is a bearer token; a token of a person is the
    /// password of that person.
    fn authorization(&self, username: &str, token: &str) -> String {
        if username == ACCESS_TOKEN_USER {
            format!("Bearer {token}")
        } else {
            basic(username, token)
        }
    }
}
