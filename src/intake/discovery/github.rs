//! The GitHub API: repositories of organisations and users.
//!
//! Input: the URL of an organisation or user. Output: its repositories. Invariants: lists are
//! requested in an order that does not change while their pages are read; a missing or invalid
//! member of an entry counts as absent.

use super::{DiscoveryError, ForgeAnswer, Project, pages::Pages, paging::ForgeClient};
use crate::{
    intake::forge_api::{endpoint, path_as_segment},
    model::git_url::GitUrl,
};
use serde_json::Value;

/// Lists the repositories of an organisation or a user; `None` if neither exists.
pub(super) async fn query(
    forge: &ForgeClient,
    url: &GitUrl,
    pages: &Pages,
) -> Result<Option<ForgeAnswer>, DiscoveryError> {
    let name = path_as_segment(url);
    let order = [("sort", "created"), ("direction", "asc")];
    for (owners, kind) in [("orgs", "all"), ("users", "owner")] {
        let mut query = vec![("per_page", "100"), ("type", kind)];
        query.extend(order);
        let url = endpoint(forge.base(), &format!("{owners}/{name}/repos"), &query);
        if let Some(ended) = forge.list(url, repository, pages).await? {
            return Ok(Some(ForgeAnswer::Projects(ended)));
        }
    }
    Ok(None)
}

pub(super) fn repository(item: &Value, position: usize) -> Project {
    let text = |key: &str| item[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Project {
        path: text("full_name"),
        url: text("clone_url"),
        skipped: (item["disabled"] == true).then_some("the forge has disabled the repository"),
        unreadable: None,
        label: super::selection::label(item, position),
    }
}
