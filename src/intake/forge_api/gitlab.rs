//! The GitLab API, version 4: projects, groups with their subgroups, and users.

use super::{Facts, ForgeApi, Names, Project, Question, base_of, endpoint, entry, path_as_segment};
use crate::model::{git_url::GitUrl, master::Options, plan::SkipKind};
use serde_json::Value;
use url::Url;

#[derive(Debug)]
pub(super) struct Gitlab;

impl ForgeApi for Gitlab {
    fn names(&self, url: &GitUrl) -> Names {
        if url.depth() < 2 { Names::Group } else { Names::Either }
    }

    fn base(&self, url: &GitUrl) -> Option<Url> {
        base_of(url, None, "/api/v4/")
    }

    fn questions(&self, base: &Url, url: &GitUrl, options: &Options) -> Vec<Question> {
        let path = path_as_segment(url);
        let yes_or_no = |yes: bool| if yes { "true" } else { "false" };
        let mut query = vec![
            ("include_subgroups", yes_or_no(options.include_subgroups)),
            ("with_shared", yes_or_no(options.filters.include_shared)),
        ];
        let order = [("per_page", "100"), ("order_by", "id"), ("sort", "asc")];
        query.extend(order);
        let group = Question::List(endpoint(base, &format!("groups/{path}/projects"), &query));
        if url.depth() < 2 {
            let user = endpoint(base, &format!("users/{path}/projects"), &order);
            vec![group, Question::List(user)]
        } else {
            vec![Question::One(endpoint(base, &format!("projects/{path}"), &[])), group]
        }
    }

    fn project(&self, item: &Value, position: usize) -> Project {
        let skipped = if item["empty_repo"] == true {
            Some((SkipKind::Empty, "the repository is empty"))
        } else if item["repository_access_level"] == "disabled" {
            Some((SkipKind::NoAccess, "the project has no repository: the feature is disabled"))
        } else if item["marked_for_deletion_on"].is_string()
            || item["marked_for_deletion_at"].is_string()
        {
            Some((SkipKind::NoAccess, "the project is marked for deletion"))
        } else {
            None
        };
        Project {
            path: entry::text(&item["path_with_namespace"]),
            url: entry::text(&item["http_url_to_repo"]),
            skipped,
            unreadable: None,
            label: entry::label(item, position),
            facts: Facts {
                archived: item["archived"].as_bool(),
                // Only a fork has the member.
                fork: item.is_object().then(|| item["forked_from_project"].is_object()),
                empty: item["empty_repo"].as_bool(),
                topics: entry::texts(&item["topics"]).or_else(|| entry::texts(&item["tag_list"])),
                visibility: entry::visibility(&item["visibility"]),
                active_at: entry::time(&item["last_activity_at"]),
                // Lists of groups do not have it.
                bytes: item["statistics"]["repository_size"].as_u64(),
            },
        }
    }
}
