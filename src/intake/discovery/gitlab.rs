//! GitLab's interface: projects, groups with all that is below them, users.
//!
//! What must stay true: pages are cut from a list whose order does not change while it is read
//! (by id, ascending); a member of an entry that is missing or odd counts as not said.

use super::{
    Count, DiscoveryError, Found, Project,
    conversation::Conversation,
    interface::{path_as_segment, question},
};
use crate::intake::target::Target;
use serde_json::Value;

/// Asks what a target is and has; `None` if the forge knows nothing of that name.
pub(super) async fn ask(
    forge: &Conversation,
    target: &Target,
    include_subgroups: bool,
    found: Count<'_>,
) -> Result<Option<Found>, DiscoveryError> {
    let (Target::Group(url) | Target::Unknown(url)) = target else { return Ok(None) };
    let path = path_as_segment(url);
    if matches!(target, Target::Unknown(_)) {
        let url = question(forge.base(), &format!("projects/{path}"), &[]);
        if let Some(answer) = forge.ask(&url, 1).await? {
            return Ok(Some(Found::Project(project(answer.one(), 1))));
        }
    }
    let subgroups = if include_subgroups { "true" } else { "false" };
    let mut query = vec![("include_subgroups", subgroups), ("with_shared", "false")];
    let order = [("per_page", "100"), ("order_by", "id"), ("sort", "asc")];
    query.extend(order);
    let group = question(forge.base(), &format!("groups/{path}/projects"), &query);
    if let Some(projects) = forge.list(group, project, found).await? {
        return Ok(Some(Found::Projects(projects)));
    }
    if url.depth() > 1 {
        return Ok(None);
    }
    let user = question(forge.base(), &format!("users/{path}/projects"), &order);
    Ok(forge.list(user, project, found).await?.map(Found::Projects))
}

pub(super) fn project(item: &Value, position: usize) -> Project {
    let text = |key: &str| item[key].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
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
