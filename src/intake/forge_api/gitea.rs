//! The API of Gitea and Forgejo, version 1: repositories of organizations and users.

use super::{
    Facts, ForgeApi, Names, PageEnd, Project, Question, base_of, endpoint, entry, group_if_short,
    next_page::{self, OtherOrigin},
    path_as_segment,
};
use crate::model::{filters::Visibility, git_url::GitUrl, master::Options, plan::SkipKind};
use serde_json::Value;
use url::Url;

#[derive(Debug)]
pub(super) struct Gitea;

impl ForgeApi for Gitea {
    fn names(&self, url: &GitUrl) -> Names {
        group_if_short(url)
    }

    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, None, "/api/v1/")
    }

    fn questions(&self, base: &Url, url: &GitUrl, _options: &Options) -> Vec<Question> {
        let name = path_as_segment(url);
        // Both lists are in order of their ids. 50 is the largest page of an unchanged server.
        let list = |owners: &str| {
            let path = format!("{owners}/{name}/repos");
            Question::List(endpoint(base, &path, &[("limit", "50"), ("page", "1")]))
        };
        vec![list("orgs"), list("users")]
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        let skipped = if item["permissions"]["pull"] == false {
            Some("the token may not read the repository")
        } else if item["has_code"] == false {
            Some("the repository has no code: the feature is disabled")
        } else {
            None
        };
        let visibility = match (item["private"].as_bool(), item["internal"].as_bool()) {
            (Some(true), _) => Some(Visibility::Private),
            (_, Some(true)) => Some(Visibility::Internal),
            (private, _) => entry::private_or_public(private),
        };
        Project {
            path: entry::text(&item["full_name"]),
            url: entry::text(&item["clone_url"]),
            skipped: skipped.map(|reason| (SkipKind::NoAccess, reason)),
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                archived: item["archived"].as_bool(),
                fork: item["fork"].as_bool(),
                empty: item["empty"].as_bool(),
                topics: entry::texts(&item["topics"]),
                visibility,
                active_at: entry::time(&item["updated_at"]),
                // In KiB.
                bytes: item["size"].as_u64().map(|size| size.saturating_mul(1024)),
            },
        }
    }

    /// By the `Link` header; where a proxy has removed it, by `X-Total-Count`. The server counts
    /// repositories that it then does not list, so a page may be short, and only an empty one is the last.
    fn next_page(&self, end: &PageEnd<'_>) -> Result<Option<Url>, OtherOrigin> {
        let by_header = next_page::by_header(end.headers, end.url)?;
        if by_header.is_some() || next_page::has_link(end.headers) || end.entries == 0 {
            return Ok(by_header);
        }
        let total = end.headers.get("x-total-count").and_then(|value| value.to_str().ok());
        let total: Option<usize> = total.and_then(|text| text.trim().parse().ok());
        let page: usize = next_page::parameter(end.url, "page").unwrap_or(1);
        let is_last = total.is_none_or(|total| page == 1 && total <= end.entries);
        let next = page.saturating_add(1).to_string();
        Ok((!is_last).then(|| next_page::with_parameter(end.url, "page", &next)))
    }

    fn authorization(&self, _username: &str, token: &str) -> String {
        format!("token {token}")
    }
}
