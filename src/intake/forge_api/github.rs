//! The GitHub API, version 3: repositories of organizations and users.

use super::{
    Facts, ForgeApi, Names, Project, Question, base_of, endpoint, entry, group_if_short,
    path_as_segment,
};
use crate::model::{git_url::GitUrl, master::Options, plan::SkipKind};
use serde_json::Value;
use url::Url;

/// github.com and its API.
const PUBLIC: (&str, &str) = ("github.com", "https://api.github.com/");

#[derive(Debug)]
pub(super) struct Github;

impl ForgeApi for Github {
    fn names(&self, url: &GitUrl) -> Names {
        group_if_short(url)
    }

    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, Some(PUBLIC), "/api/v3/")
    }

    fn questions(&self, base: &Url, url: &GitUrl, _options: &Options) -> Vec<Question> {
        let name = path_as_segment(url);
        let list = |owners: &str, kind: &str| {
            let order = [("sort", "created"), ("direction", "asc")];
            let mut query = vec![("per_page", "100"), ("type", kind)];
            query.extend(order);
            Question::List(endpoint(base, &format!("{owners}/{name}/repos"), &query))
        };
        vec![list("orgs", "all"), list("users", "owner")]
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        let skipped = if item["disabled"] == true {
            Some("the forge has disabled the repository")
        } else if item["permissions"]["pull"] == false {
            Some("the token may not read the repository")
        } else {
            None
        };
        // In KiB; the forge states 0 for a repository without commits.
        let kibibytes = item["size"].as_u64();
        Project {
            path: entry::text(&item["full_name"]),
            url: entry::text(&item["clone_url"]),
            skipped: skipped.map(|reason| (SkipKind::NoAccess, reason)),
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                archived: item["archived"].as_bool(),
                fork: item["fork"].as_bool(),
                empty: kibibytes.map(|size| size == 0),
                topics: entry::texts(&item["topics"]),
                visibility: entry::visibility(&item["visibility"])
                    .or_else(|| entry::private_or_public(item["private"].as_bool())),
                active_at: entry::time(&item["pushed_at"])
                    .or_else(|| entry::time(&item["updated_at"])),
                bytes: kibibytes.map(|size| size.saturating_mul(1024)),
            },
        }
    }
}
