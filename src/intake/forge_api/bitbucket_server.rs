//! The API of Bitbucket Data Center and Server, version 1.0: repositories of projects and of users.

use super::{
    Facts, ForgeApi, Names, PageEnd, Project, Question, as_segment, base_of, endpoint, entry,
    next_page::{self, OtherOrigin},
    segments,
};
use crate::model::{git_url::GitUrl, master::Options, plan::SkipKind};
use serde_json::Value;
use url::Url;

#[derive(Debug)]
pub(super) struct BitbucketServer;

impl ForgeApi for BitbucketServer {
    fn names(&self, url: &GitUrl) -> Names {
        if project_key(url).is_some() { Names::Group } else { Names::Repository }
    }

    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, None, "/rest/api/1.0/")
    }

    fn questions(&self, base: &Url, url: &GitUrl, _options: &Options) -> Vec<Question> {
        let key = as_segment(self.group_path(url).bytes());
        let path = format!("projects/{key}/repos");
        vec![Question::List(endpoint(base, &path, &[("limit", "100"), ("start", "0")]))]
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        let key = entry::text(&item["project"]["key"]);
        let slug = entry::text(&item["slug"]);
        // The forge also states that a repository is being created, which passes.
        let failed = item["state"] == "INITIALISATION_FAILED" || item["state"] == "OFFLINE";
        Project {
            path: key.zip(slug).map(|(key, slug)| format!("{key}/{slug}")),
            url: entry::clone_link(item),
            skipped: failed
                .then_some((SkipKind::NoAccess, "the forge cannot serve the repository now")),
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                archived: item["archived"].as_bool(),
                // Only a fork has an origin.
                fork: item.is_object().then(|| item["origin"].is_object()),
                visibility: entry::private_or_public(
                    item["public"].as_bool().map(|public| !public),
                ),
                // Not stated by this API.
                empty: None,
                topics: None,
                active_at: None,
                bytes: None,
            },
        }
    }

    fn list_member(&self) -> Option<&'static str> {
        Some("values")
    }

    fn next_page(&self, end: &PageEnd<'_>) -> Result<Option<Url>, OtherOrigin> {
        let next = end.members["nextPageStart"].as_u64();
        let next = next.filter(|_| end.members["isLastPage"] != true);
        Ok(next.map(|next| next_page::with_parameter(end.url, "start", &next.to_string())))
    }

    /// Entries that the forge hides take a number, too, so this page begins at the latest where the one
    /// that cannot be read has ended.
    fn page_after(&self, page: &Url) -> Option<Url> {
        next_page::advanced(page, "start", next_page::parameter(page, "limit")?)
    }

    fn group_path(&self, url: &GitUrl) -> String {
        project_key(url).unwrap_or_default()
    }
}

/// The key of the project that a URL names: `/projects/KEY`, `/scm/KEY`, `/KEY`, or `/users/NAME`, whose
/// project is `~NAME`.
fn project_key(url: &GitUrl) -> Option<String> {
    let segments = segments(url);
    match &segments[..] {
        [key] => Some(key.clone()),
        [place, key] if place == "projects" || place == "scm" => Some(key.clone()),
        [place, name] if place == "users" => Some(format!("~{name}")),
        _ => None,
    }
}
