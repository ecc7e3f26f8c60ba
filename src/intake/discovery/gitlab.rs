//! The GitLab API: projects, groups with their subgroups, and users.
//!
//! Input: a target. Output: its project or projects. Invariants: lists are requested in an order
//! that does not change while their pages are read (by id, ascending); a missing or invalid member
//! of an entry counts as absent.

use super::{DiscoveryError, ForgeAnswer, Project, pages::Pages, paging::ForgeClient};
use crate::intake::{
    forge_api::{endpoint, path_as_segment},
    target::Target,
};
use serde_json::Value;

/// Finds out what a target names and lists its projects; `None` if it does not exist.
pub(super) async fn query(
    forge: &ForgeClient,
    target: &Target,
    include_subgroups: bool,
    pages: &Pages,
) -> Result<Option<ForgeAnswer>, DiscoveryError> {
    let (Target::Group(url) | Target::Unknown(url)) = target else { return Ok(None) };
    let path = path_as_segment(url);
    if matches!(target, Target::Unknown(_)) {
        let url = endpoint(forge.base(), &format!("projects/{path}"), &[]);
        if let Some(answer) = forge.get(&url, 1).await? {
            return Ok(Some(ForgeAnswer::Project(project(answer.one(), 1))));
        }
    }
    let subgroups = if include_subgroups { "true" } else { "false" };
    let mut query = vec![("include_subgroups", subgroups), ("with_shared", "false")];
    let order = [("per_page", "100"), ("order_by", "id"), ("sort", "asc")];
    query.extend(order);
    let group = endpoint(forge.base(), &format!("groups/{path}/projects"), &query);
    if let Some(ended) = forge.list(group, project, pages).await? {
        return Ok(Some(ForgeAnswer::Projects(ended)));
    }
    if url.depth() > 1 {
        return Ok(None);
    }
    let user = endpoint(forge.base(), &format!("users/{path}/projects"), &order);
    Ok(forge.list(user, project, pages).await?.map(ForgeAnswer::Projects))
}

pub(super) fn project(item: &Value, position: usize) -> Project {
    let text = |key: &str| item[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let skipped = if item["empty_repo"] == true {
        Some("the repository is empty")
    } else if item["repository_access_level"] == "disabled" {
        Some("the project has no repository: the feature is disabled")
    } else if item["marked_for_deletion_on"].is_string()
        || item["marked_for_deletion_at"].is_string()
    {
        Some("the project is marked for deletion")
    } else {
        None
    };
    Project {
        path: text("path_with_namespace"),
        url: text("http_url_to_repo"),
        skipped,
        unreadable: None,
        label: super::selection::label(item, position),
    }
}
