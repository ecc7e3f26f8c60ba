//! GitHub's interface: organisations and users.
//!
//! What must stay true: pages are cut from a list whose order does not change while it is read;
//! a member of an entry that is missing or odd counts as not said.

use super::{
    Count, DiscoveryError, Found, Project,
    conversation::Conversation,
    interface::{path_as_segment, question},
};
use crate::model::git_url::GitUrl;
use serde_json::Value;

/// Asks what an organisation or a user has; `None` if there is neither.
pub(super) async fn ask(
    forge: &Conversation,
    url: &GitUrl,
    found: Count<'_>,
) -> Result<Option<Found>, DiscoveryError> {
    let name = path_as_segment(url);
    let order = [("sort", "created"), ("direction", "asc")];
    for (place, kind) in [("orgs", "all"), ("users", "owner")] {
        let mut query = vec![("per_page", "100"), ("type", kind)];
        query.extend(order);
        let question = question(forge.base(), &format!("{place}/{name}/repos"), &query);
        if let Some(projects) = forge.list(question, repository, found).await? {
            return Ok(Some(Found::Projects(projects)));
        }
    }
    Ok(None)
}

pub(super) fn repository(item: &Value, position: usize) -> Project {
    let text = |key: &str| item[key].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    Project {
        path: text("full_name"),
        url: text("clone_url"),
        skipped: (item["disabled"] == true).then_some("the forge has disabled the repository"),
        unreadable: None,
        label: super::selection::label(item, position),
    }
}
